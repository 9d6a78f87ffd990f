#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "transport/compression.h"
#include "transport/encoder_internal.h"
#include "transport/json.h"
#include "wire/base64.h"
#include "wire/http.h"
#include "wire/sse.h"

/* The event of a message: text as it is, other bytes in base64 under a type of their own; or an
 * envelope. */
struct message_event {
    struct sse_event event;
    char id[POSITION_TOKEN_MAX(SETTINGS_CHANNELS_MAX)];
    char *text; /* or NULL */
};

static struct span event_type(const struct message *message)
{
    return message->event_len > 0 ? span_of(message_event(message), message->event_len)
                                  : (struct span){0};
}

/* Returns false when memory is out. */
static bool event_envelope(struct message_event *ret, const struct message *message,
                           struct span delta, const struct standing *standing)
{
    size_t size = json_envelope_size(message, delta, standing->positions, standing->count);
    ret->text = malloc(size);
    if (!ret->text)
        return false;
    struct out out = out_begin(ret->text, size);
    json_envelope_write(&out, message, delta, standing->positions, standing->count);
    assert(!out.overflow);
    ret->event.data = span_of(ret->text, size);
    return true;
}

/* Returns false when memory is out. */
static bool event_base64(struct message_event *ret, struct span payload)
{
    ret->text = malloc(BASE64_SIZE(payload.len) + 1);
    if (!ret->text)
        return false;
    ret->event.event = SPAN("binary");
    ret->event.data = span_of(ret->text, base64_encode(ret->text, payload));
    return true;
}

/* Returns false when memory is out. */
static bool event_init(struct message_event *ret, struct message *const *messages, unsigned i,
                       const struct standing *standing, bool envelope)
{
    const struct message *message = messages[i];
    struct span payload = span_of(message_payload(message), message->payload_len);
    standing->positions[standing->at].offset = message->offset;
    ret->event = (struct sse_event){.data = payload, .event = event_type(message)};
    if (standing->count > 0)
        ret->event.id =
            span_of(ret->id, position_write(ret->id, standing->positions, standing->count));
    ret->text = NULL;
    if (envelope)
        return event_envelope(ret, message, delta_at(standing->deltas, i), standing);
    return message->utf8 || event_base64(ret, payload);
}

size_t encoder_end_event(char buf[ENCODER_END_MAX], struct span name)
{
    char data[ENCODER_END_MAX];
    struct out out = out_begin(data, sizeof data);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, name);
    out_text(&out, "\"}");
    const struct sse_event event = {.event = SPAN("end"),
                                    .data = span_of(data, (size_t)out_end(&out))};
    assert(sse_event_size(&event) <= ENCODER_END_MAX);
    return sse_event_write(buf, &event);
}

/* Behind the last message of its channel: empty behind all others. */
static struct span end_of(const struct message *message, char buf[ENCODER_END_MAX])
{
    struct span name = span_of(message_name(message), message->name_len);
    return span_of(buf, message->last ? encoder_end_event(buf, name) : 0);
}

/* Returns the bytes of all events, or 0 when memory is out. */
static size_t events_size(struct message *const *messages, unsigned count,
                          const struct standing *standing, bool envelope)
{
    struct message_event event;
    char end[ENCODER_END_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!event_init(&event, messages, i, standing, envelope))
            return 0;
        size += sse_event_size(&event.event) + end_of(messages[i], end).len;
        free(event.text);
    }
    return size;
}

/* Returns false when memory is out. */
static bool events_write(struct out *out, struct message *const *messages, unsigned count,
                         const struct standing *standing, bool envelope)
{
    struct message_event event;
    char end[ENCODER_END_MAX];
    for (unsigned i = 0; i < count; i++) {
        if (!event_init(&event, messages, i, standing, envelope))
            return false;
        out->at += sse_event_write(out->at, &event.event);
        out_span(out, end_of(messages[i], end));
        free(event.text);
    }
    return true;
}

/* The length decides that of the chunk's head, so it is written further back and moved. */
static struct frame frame_of_piece(struct shard *shard, struct span text, struct encoding encoding)
{
    bool shared = encoding.coding == CODING_DEFLATED;
    size_t room = deflate_piece_room(text.len);
    struct out out;
    if (!frame_begin(shard, HTTP_CHUNK_HEAD_MAX + room + sizeof HTTP_CHUNK_TAIL, &out))
        return (struct frame){0};
    char *piece = out.at + HTTP_CHUNK_HEAD_MAX;
    size_t len = compression_piece(shard, piece, text, shared);
    bool chunked = encoding.framing == FRAMING_CHUNK;
    if (chunked)
        out.at += http_chunk_head_write(out.at, len);
    memmove(out.at, piece, len);
    out.at += len;
    if (chunked)
        out_text(&out, HTTP_CHUNK_TAIL);
    return frame_end(shard, &out);
}

static struct frame encode_zipped(struct shard *shard, struct message *const *messages,
                                  unsigned count, const struct standing *standing,
                                  struct encoding encoding, size_t size)
{
    bool envelope = encoding.format != FORMAT_SSE;
    char *plain = malloc(size);
    struct out text = out_begin(plain, size);
    struct frame frame = {0};
    if (plain && events_write(&text, messages, count, standing, envelope))
        frame = frame_of_piece(shard, span_of(plain, (size_t)(text.at - text.start)), encoding);
    free(plain);
    return frame;
}

struct frame encode_sse(struct shard *shard, struct message *const *messages, unsigned count,
                        const struct standing *standing, struct encoding encoding)
{
    bool chunked = encoding.framing == FRAMING_CHUNK, envelope = encoding.format != FORMAT_SSE;
    size_t size = events_size(messages, count, standing, envelope);
    struct out out;
    if (size > 0 && encoding.coding != CODING_PLAIN)
        return encode_zipped(shard, messages, count, standing, encoding, size);
    if (size == 0 || !frame_begin(shard, HTTP_CHUNK_HEAD_MAX + size + sizeof HTTP_CHUNK_TAIL, &out))
        return (struct frame){0};
    if (chunked)
        out.at += http_chunk_head_write(out.at, size);
    if (!events_write(&out, messages, count, standing, envelope))
        return (struct frame){0};
    if (chunked)
        out_text(&out, HTTP_CHUNK_TAIL);
    return frame_end(shard, &out);
}
