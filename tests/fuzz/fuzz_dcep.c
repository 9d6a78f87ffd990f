#include "fuzz.h"
#include "wire/dcep.h"

/* What is read and written again is what was read, but for the limit of a reliable channel. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dcep_open open;
    uint8_t made[DCEP_SIZE_MAX];
    int message = dcep_read(&open, fuzz_input(data, size));
    assert(message >= DCEP_TYPE && message != 0 && message <= DCEP_ACKS);
    if (message != DCEP_OPENS)
        return 0;
    size_t len = dcep_write_open(made, &open);
    assert(len == size && made[1] == data[1]);
    if (open.reliability != DCEP_RELIABLE)
        assert(memcmp(made, data, len) == 0);
    assert(memcmp(made + 8, data + 8, len - 8) == 0);
    return 0;
}
