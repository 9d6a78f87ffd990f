#include "fuzz.h"
#include "wire/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    char *text = malloc(BASE64_SIZE(size) + 1), *bytes = malloc(size + 1);
    assert(text && bytes);

    /* What decodes is what encoding gives. */
    int count = base64_decode(bytes, size, input);
    if (count >= 0) {
        assert(base64_encode(text, span_of(bytes, (size_t)count)) == size);
        assert(span_equal(span_of(text, size), input));
    }
    /* Whatever is encoded decodes. */
    size_t len = base64_encode(text, input);
    assert(len == BASE64_SIZE(size));
    assert(base64_decode(bytes, size, span_of(text, len)) == (int)size);
    assert(span_equal(span_of(bytes, size), input));
    free(text);
    free(bytes);
    return 0;
}
