#include "broker/nats_answer.h"
#include "broker/nats_encoding.h"

#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"
#include "fuzz.h"
#include "hub/hub.h"

#define PREFIX      "ringside"
#define PAYLOAD_MAX 64

/* What is read of a batch is within it, and its head is written as it was. */
static void batch(struct span input)
{
    struct nats_batch read, again;
    struct span item;
    char head[NATS_BATCH_HEAD];
    const char *end = input.ptr + input.len;
    if (nats_batch_read(&read, input) < 0)
        return;
    assert(read.run != 0 && read.epoch != 0);
    assert(read.items.ptr + read.items.len == end);
    size_t len = nats_batch_write(head, &read);
    assert(len <= sizeof head && nats_batch_read(&again, span_of(head, len)) == 0);
    assert(again.run == read.run && again.epoch == read.epoch && again.offset == read.offset);
    while (encoding_item_next(&read.items, &item) > 0) {
        struct encoded message;
        assert(item.len > 0 && item.ptr + item.len <= end);
        if (encoding_read(&message, item, PAYLOAD_MAX) == 0)
            assert(message.payload.len <= PAYLOAD_MAX);
    }
}

/* A subject that names a channel is the one that is written for it. */
static void subject(struct span input)
{
    char name[NATS_NAME_MAX], written[NATS_SUBJECT_MAX];
    size_t len = nats_subject_read(name, PREFIX, NATS_HEARD, input);
    if (len == 0)
        return;
    assert(hub_name_valid(name, len));
    size_t size = nats_subject_write(written, PREFIX, NATS_HEARD, span_of(name, len));
    assert(span_equal(span_of(written, size), input));
}

static void answer(struct span input)
{
    struct nats_answer read;
    uint64_t stream = 0;
    assert((nats_stream_read(&stream, input) == 0) == (stream != 0));
    if (nats_answer_read(&read, input) == 0) {
        assert((read.code > 0) != (read.seq > 0));
        assert(read.len == 0 || read.data);
        free(read.data);
    } else {
        assert(!read.data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    if (input.len == 0)
        return 0;
    struct span rest = span_skip(input, 1);
    if (input.ptr[0] == 's')
        subject(rest);
    else if (input.ptr[0] == 'j')
        answer(rest);
    else
        batch(rest);
    return 0;
}
