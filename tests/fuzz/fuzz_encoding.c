#include "broker/encoding.h"
#include "fuzz.h"
#include "hub/hub.h"
#include "wire/utf8.h"

#define PAYLOAD_MAX 64

/* What is read is within its bounds and within the input, and its head is written as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct encoded read;
    struct span input = fuzz_input(data, size);
    if (encoding_read(&read, input, PAYLOAD_MAX) < 0)
        return 0;
    assert(read.epoch != 0 && read.time_ms >= 0);
    assert(read.event.len <= EVENT_TYPE_MAX && read.payload.len <= PAYLOAD_MAX);
    assert(read.event.len == 0 || hub_name_valid(read.event.ptr, read.event.len));
    assert(!read.utf8 || utf8_valid(read.payload));
    assert(read.payload.ptr + read.payload.len == input.ptr + input.len);
    assert(read.event.ptr + read.event.len == read.payload.ptr);
    const struct message message = {.utf8 = read.utf8,
                                    .last = read.last,
                                    .kind = (uint8_t)read.kind,
                                    .event_len = (uint8_t)read.event.len};
    char head[ENCODING_HEAD_BYTES];
    encoding_head(head, &message);
    struct span was = span_of(read.event.ptr - sizeof head, sizeof head);
    assert(span_equal(span_of(head, sizeof head), was));
    return 0;
}
