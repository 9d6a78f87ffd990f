#include "fuzz.h"
#include "wire/proxy.h"

/* With fewer bytes it asks for more, never for more than there are, or already says the same; with
 * more it says the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct proxy_head whole;
    int result = proxy_parse(&whole, input.ptr, input.len);
    assert(result <= PROXY_HEAD_MAX && (result <= 0 || (size_t)result <= input.len));
    assert(result >= 0 || !whole.named);
    size_t most = input.len < PROXY_HEAD_MAX ? input.len : PROXY_HEAD_MAX;
    for (size_t len = 0; len < most; len += 1 + len / 64) {
        struct proxy_head part;
        int early = proxy_parse(&part, input.ptr, len);
        assert(early == 0 || early == result);
        assert(early != 0 || part.missing > 0);
        assert(early != 0 || result <= 0 || len + part.missing <= (size_t)result);
        if (early > 0)
            assert(part.named == whole.named &&
                   memcmp(&part.source, &whole.source, sizeof part.source) == 0);
    }
    assert(result != 0 || input.len < PROXY_HEAD_MAX);
    return 0;
}
