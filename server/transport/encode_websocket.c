#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "transport/compression.h"
#include "transport/encoder_internal.h"
#include "transport/json.h"
#include "wire/ws.h"

static void ws_head_write(struct out *out, enum ws_opcode opcode, uint64_t length)
{
    const struct ws_frame_head head = {.length = length, .opcode = (uint8_t)opcode, .fin = true};
    char bytes[WS_FRAME_HEAD_MAX];
    out_span(out, span_of(bytes, ws_frame_head_write(bytes, &head)));
}

struct frame encode_ws_raw(struct shard *shard, struct message *const *messages, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += ws_frame_head_size(messages[i]->payload_len) + messages[i]->payload_len;
    struct out out;
    if (!frame_begin(shard, size, &out))
        return (struct frame){0};
    for (unsigned i = 0; i < count; i++) {
        ws_head_write(&out, messages[i]->utf8 ? WS_TEXT : WS_BINARY, messages[i]->payload_len);
        out_span(&out, span_of(message_payload(messages[i]), messages[i]->payload_len));
    }
    return frame_end(shard, &out);
}

struct frame encode_ws_raw_deflated(struct shard *shard, struct message *const *messages,
                                    unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += compression_ws_room(messages[i]->payload_len);
    struct out out;
    if (!frame_begin(shard, size, &out))
        return (struct frame){0};
    for (unsigned i = 0; i < count; i++)
        out.at +=
            compression_ws_frame(shard, out.at, messages[i]->utf8 ? WS_TEXT : WS_BINARY,
                                 span_of(message_payload(messages[i]), messages[i]->payload_len));
    return frame_end(shard, &out);
}

/* ---- envelopes ---- */

static size_t envelope_size(struct message *const *messages, unsigned i,
                            const struct standing *standing)
{
    standing->positions[standing->at].offset = messages[i]->offset;
    return json_envelope_size(messages[i], delta_at(standing->deltas, i), standing->positions,
                              standing->count);
}

static void envelope_write(struct out *out, struct message *const *messages, unsigned i,
                           const struct standing *standing)
{
    standing->positions[standing->at].offset = messages[i]->offset;
    json_envelope_write(out, messages[i], delta_at(standing->deltas, i), standing->positions,
                        standing->count);
}

struct frame encode_ws_envelopes(struct shard *shard, struct message *const *messages,
                                 unsigned count, const struct standing *standing)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += WS_FRAME_HEAD_MAX + envelope_size(messages, i, standing);
    struct out out;
    if (!frame_begin(shard, size, &out))
        return (struct frame){0};
    for (unsigned i = 0; i < count; i++) {
        ws_head_write(&out, WS_TEXT, envelope_size(messages, i, standing));
        envelope_write(&out, messages, i, standing);
    }
    return frame_end(shard, &out);
}

/* The largest envelope; `ret_size`: what all of them need. */
static size_t envelopes_measure(struct message *const *messages, unsigned count,
                                const struct standing *standing, size_t *ret_size)
{
    size_t largest = 0;
    *ret_size = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t size = envelope_size(messages, i, standing);
        largest = size > largest ? size : largest;
        *ret_size += compression_ws_room(size);
    }
    return largest;
}

/* Each is written beside, and deflated from there. */
struct frame encode_ws_envelopes_deflated(struct shard *shard, struct message *const *messages,
                                          unsigned count, const struct standing *standing)
{
    size_t size;
    size_t largest = envelopes_measure(messages, count, standing, &size);
    struct out out;
    assert(largest > 0);
    char *plain = malloc(largest);
    if (!plain || !frame_begin(shard, size, &out)) {
        free(plain);
        return (struct frame){0};
    }
    for (unsigned i = 0; i < count; i++) {
        struct out envelope = out_begin(plain, largest);
        envelope_write(&envelope, messages, i, standing);
        assert(!envelope.overflow);
        out.at += compression_ws_frame(shard, out.at, WS_TEXT,
                                       span_of(plain, (size_t)(envelope.at - envelope.start)));
    }
    free(plain);
    return frame_end(shard, &out);
}
