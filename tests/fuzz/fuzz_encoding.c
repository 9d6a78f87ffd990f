#include "broker/encoding.h"

#include <stdlib.h>

#include "core/message.h"
#include "fuzz.h"
#include "hub/hub.h"
#include "wire/utf8.h"

#define PAYLOAD_MAX 64

/* What is read is within its bounds and within the input, and is written as it was. */
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
    assert(read.event.ptr + read.event.len == read.payload.ptr);
    const char *end = input.ptr + input.len;
    assert(read.more.len == 0 || read.more.ptr + read.more.len + 1 == end);
    assert(read.payload.ptr + read.payload.len == (read.more.len > 0 ? read.more.ptr : end));
    struct message *message = encoding_message(&read, SPAN("news"), 1);
    size_t len = encoding_size(message);
    char *body = malloc(len);
    assert(len <= input.len);
    encoding_write(body, message);
    assert(span_equal(span_of(body, len), span_of(end - len, len)));
    free(body);
    message_unref(message);
    return 0;
}
