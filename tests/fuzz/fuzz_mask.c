/* The module is included, for its plain loop. */
#include "wire/mask.c"

#include "fuzz.h"

/* The first four bytes are the key, the fifth the alignment. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    uint8_t key[4];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = fuzz_choice(&input);
    size_t offset = fuzz_choice(&input) % 32;
    char *fast = calloc(1, offset + input.len + 1), *slow = calloc(1, offset + input.len + 1);
    assert(fast && slow);
    if (input.len > 0) {
        memcpy(fast + offset, input.ptr, input.len);
        memcpy(slow + offset, input.ptr, input.len);
    }
    mask_scalar(slow + offset, input.len, key);
    mask_apply(fast + offset, input.len, key);
    assert(memcmp(fast, slow, offset + input.len + 1) == 0);

    /* In two pieces, undoing it. */
    size_t first, step;
    fuzz_cut(input, 1, &first, &step);
    mask_apply(fast + offset, first, key);
    mask_rotate(key, first);
    mask_apply(fast + offset + first, input.len - first, key);
    assert(input.len == 0 || memcmp(fast + offset, input.ptr, input.len) == 0);
    free(fast);
    free(slow);
    return 0;
}
