#include "fuzz.h"
#include "wire/etag.h"

/* The value of If-None-Match. What is read is found again, and what is written is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct etags etags = {0};
    etags_add(&etags, input);
    assert(etags.count <= ETAGS_MAX);
    for (unsigned i = 0; i < etags.count; i++) {
        char buf[ETAG_SIZE];
        struct etags again = {0};
        assert(etags_have(&etags, etags.list[i]));
        etag_write(buf, etags.list[i]);
        etags_add(&again, span_of(buf, sizeof buf));
        assert(again.count == 1 && again.list[0] == etags.list[i] && !again.any);
    }
    return 0;
}
