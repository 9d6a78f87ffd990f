#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "wire/delta.h"
#include "wire/utf8.h"

enum {
    BYTES_MAX = 1 << 16,
    ROOM = 1 << 16,
};

/* A delta is shorter than what it makes of its base, which is its target and nothing else. */
static void there_and_back(struct delta_maker *maker, struct span base, struct span target)
{
    char *area = malloc(target.len + 1), *again = malloc(target.len + 1);
    size_t len = delta_make(maker, area, base, target);
    if (len > 0) {
        const struct span delta = span_of(area, len);
        assert(len < target.len);
        assert(!utf8_valid(base) || !utf8_valid(target) || utf8_valid(delta));
        assert(delta_apply(again, target.len, base, delta) == (int)target.len);
        assert(span_equal(span_of(again, target.len), target));
        assert(delta_apply(again, target.len - 1, base, delta) == -EFBIG);
    }
    free(area);
    free(again);
}

/* The first byte says how much of the input is the base, in 256ths; the rest is a delta, and a
 * target. Then the input with some of its bytes changed is the target, and all of it the base. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input);
    size_t cut = input.len * choice / 256;
    const struct span base = span_of(input.ptr, cut), rest = span_skip(input, cut);
    struct delta_maker *maker = delta_maker_create(BYTES_MAX);
    char *area = malloc(ROOM), *changed = malloc(input.len + 1);
    int len = delta_apply(area, ROOM, base, rest);
    assert(len == -EPROTO || len == -EFBIG || (len >= 0 && len <= ROOM));
    there_and_back(maker, base, rest);
    if (input.len > 0)
        memcpy(changed, input.ptr, input.len);
    for (size_t at = choice; at < input.len; at += (size_t)choice + 1)
        changed[at] ^= 1;
    there_and_back(maker, input, span_of(changed, input.len));
    free(area);
    free(changed);
    delta_maker_free(maker);
    return 0;
}
