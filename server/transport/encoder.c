#include "transport/encoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "http/exchange.h"
#include "transport/cacheable.h"
#include "transport/compression.h"
#include "transport/json.h"
#include "transport/pushes.h"
#include "wire/base64.h"
#include "wire/sse.h"
#include "wire/ws.h"

enum {
    ENCODINGS = FORMAT_COUNT * FRAMING_COUNT,
};

struct encoder {
    uint64_t answer_weight; /* of the batch, as an answer; 0: not looked at yet */
    struct frame frames[ENCODINGS];
    uint64_t tried; /* bits; and when there is no frame then, it was too much for memory */
};
_Static_assert(ENCODINGS <= 64, "a bit for each");

void encoder_begin(struct shard *shard, const struct hub_batch *batch)
{
    (void)batch;
    if (!shard->encoder)
        shard->encoder = calloc(1, sizeof(struct encoder));
    /* Without one there are no frames: the connections that were to get them are closed. */
    encoder_release(shard);
}

void encoder_release(struct shard *shard)
{
    struct encoder *encoder = shard->encoder;
    if (!encoder)
        return;
    encoder->answer_weight = 0;
    for (; encoder->tried != 0; encoder->tried &= encoder->tried - 1) {
        struct frame *frame = &encoder->frames[__builtin_ctzll(encoder->tried)];
        if (frame->block)
            block_unref(&shard->blocks, frame->block);
        *frame = (struct frame){0};
    }
}

void encoder_done(struct shard *shard)
{
    encoder_release(shard);
    compression_done(shard);
    free(shard->encoder);
    shard->encoder = NULL;
}

/* ---- WebSocket ---- */

static void ws_head_write(struct out *out, enum ws_opcode opcode, uint64_t length)
{
    const struct ws_frame_head head = {.length = length, .opcode = (uint8_t)opcode, .fin = true};
    char bytes[WS_FRAME_HEAD_MAX];
    out_span(out, span_of(bytes, ws_frame_head_write(bytes, &head)));
}

/* Returns false when memory is out. */
static bool frame_begin(struct shard *shard, size_t size, struct out *ret)
{
    char *area = blocks_reserve(&shard->blocks, size);
    if (area)
        *ret = out_begin(area, size);
    return area;
}

static struct frame frame_end(struct shard *shard, const struct out *out)
{
    assert(!out->overflow && out->at <= out->end);
    return blocks_commit(&shard->blocks, (size_t)(out->at - out->start));
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

struct frame encode_ws_envelopes(struct shard *shard, struct message *const *messages,
                                 unsigned count, const struct standing *standing)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        standing->positions[standing->at].offset = messages[i]->offset;
        size += WS_FRAME_HEAD_MAX +
                json_envelope_size(messages[i], standing->positions, standing->count);
    }
    struct out out;
    if (!frame_begin(shard, size, &out))
        return (struct frame){0};
    for (unsigned i = 0; i < count; i++) {
        standing->positions[standing->at].offset = messages[i]->offset;
        ws_head_write(&out, WS_TEXT,
                      json_envelope_size(messages[i], standing->positions, standing->count));
        json_envelope_write(&out, messages[i], standing->positions, standing->count);
    }
    return frame_end(shard, &out);
}

/* ---- the same, deflated ---- */

static struct frame encode_ws_raw_deflated(struct shard *shard, struct message *const *messages,
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

/* The largest envelope of a batch of one channel; `ret_size`: what all of them need. */
static size_t envelopes_measure(struct message *const *messages, unsigned count,
                                struct position *position, size_t *ret_size)
{
    size_t largest = 0;
    *ret_size = 0;
    for (unsigned i = 0; i < count; i++) {
        position->offset = messages[i]->offset;
        size_t size = json_envelope_size(messages[i], position, 1);
        largest = size > largest ? size : largest;
        *ret_size += compression_ws_room(size);
    }
    return largest;
}

/* Each is written beside, and deflated from there. */
static struct frame encode_ws_envelopes_deflated(struct shard *shard,
                                                 struct message *const *messages, unsigned count,
                                                 struct position *position)
{
    size_t size;
    size_t largest = envelopes_measure(messages, count, position, &size);
    struct out out;
    assert(largest > 0);
    char *plain = malloc(largest);
    if (!plain || !frame_begin(shard, size, &out)) {
        free(plain);
        return (struct frame){0};
    }
    for (unsigned i = 0; i < count; i++) {
        struct out envelope = out_begin(plain, largest);
        position->offset = messages[i]->offset;
        json_envelope_write(&envelope, messages[i], position, 1);
        assert(!envelope.overflow);
        out.at += compression_ws_frame(shard, out.at, WS_TEXT,
                                       span_of(plain, (size_t)(envelope.at - envelope.start)));
    }
    free(plain);
    return frame_end(shard, &out);
}

/* ---- SSE ---- */

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
                           const struct standing *standing)
{
    size_t size = json_envelope_size(message, standing->positions, standing->count);
    ret->text = malloc(size);
    if (!ret->text)
        return false;
    struct out out = out_begin(ret->text, size);
    json_envelope_write(&out, message, standing->positions, standing->count);
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
static bool event_init(struct message_event *ret, const struct message *message,
                       const struct standing *standing, enum format format)
{
    struct span payload = span_of(message_payload(message), message->payload_len);
    standing->positions[standing->at].offset = message->offset;
    ret->event = (struct sse_event){.data = payload, .event = event_type(message)};
    if (standing->count > 0)
        ret->event.id =
            span_of(ret->id, position_write(ret->id, standing->positions, standing->count));
    ret->text = NULL;
    if (format == FORMAT_SSE_ENVELOPE)
        return event_envelope(ret, message, standing);
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
                          const struct standing *standing, enum format format)
{
    struct message_event event;
    char end[ENCODER_END_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!event_init(&event, messages[i], standing, format))
            return 0;
        size += sse_event_size(&event.event) + end_of(messages[i], end).len;
        free(event.text);
    }
    return size;
}

struct frame encode_sse(struct shard *shard, struct message *const *messages, unsigned count,
                        const struct standing *standing, struct encoding encoding)
{
    bool chunked = encoding.framing == FRAMING_CHUNK;
    struct message_event event;
    char end[ENCODER_END_MAX];
    size_t size = events_size(messages, count, standing, encoding.format);
    struct out out;
    if (size == 0 || !frame_begin(shard, HTTP_CHUNK_HEAD_MAX + size + sizeof HTTP_CHUNK_TAIL, &out))
        return (struct frame){0};
    if (chunked)
        out.at += http_chunk_head_write(out.at, size);
    for (unsigned i = 0; i < count; i++) {
        if (!event_init(&event, messages[i], standing, encoding.format))
            return (struct frame){0};
        out.at += sse_event_write(out.at, &event.event);
        out_span(&out, end_of(messages[i], end));
        free(event.text);
    }
    if (chunked)
        out_text(&out, HTTP_CHUNK_TAIL);
    return frame_end(shard, &out);
}

/* ---- answers ---- */

static struct http_head answer_head(uint64_t length, struct span fields)
{
    return (struct http_head){.status = 200,
                              .framing = HTTP_FRAMING_LENGTH,
                              .length = length,
                              .type = SPAN("application/json"),
                              .extra = fields};
}

/* The head, and behind it a body that is there already. */
static struct frame answer_around(struct shard *shard, struct conn *conn,
                                  const struct json_answer *answer, struct span body, bool gzip)
{
    static const char coding[] = "Content-Encoding: gzip\r\n";
    char fields[CACHEABLE_FIELDS_MAX + sizeof coding];
    struct out out;
    if (!frame_begin(shard, HTTP_ANSWER_HEAD_MAX + body.len, &out))
        return (struct frame){0};
    size_t len = cacheable_fields(shard, conn, answer, fields);
    if (gzip) {
        memcpy(fields + len, coding, sizeof coding - 1);
        len += sizeof coding - 1;
    }
    const struct http_head head = answer_head(body.len, span_of(fields, len));
    out.at += http_head_begin(shard, conn, out.at, HTTP_ANSWER_HEAD_MAX, &head);
    if (!(conn->asked & ASKED_HEAD_ONLY))
        out_span(&out, body);
    return frame_end(shard, &out);
}

/* A body that is compressed has to be there before its head, which says how long it is. */
static struct frame encode_gzip(struct shard *shard, struct conn *conn,
                                const struct json_answer *answer)
{
    size_t size = json_answer_size(answer);
    char *plain = malloc(size), *zipped = NULL;
    if (!plain)
        return (struct frame){0};
    struct span body =
        span_of(plain, json_answer_next(answer, &(struct json_cursor){0}, plain, size));
    size_t len = compression_gzip(shard, body, &zipped);
    struct frame frame =
        answer_around(shard, conn, answer, len > 0 ? span_of(zipped, len) : body, len > 0);
    free(zipped);
    free(plain);
    return frame;
}

struct frame encode_answer(struct shard *shard, struct conn *conn, const struct json_answer *answer)
{
    if (conn->asked & ASKED_GZIP)
        return encode_gzip(shard, conn, answer);
    size_t body = json_answer_size(answer);
    struct out out;
    if (!frame_begin(shard, HTTP_ANSWER_HEAD_MAX + body, &out))
        return (struct frame){0};
    char fields[CACHEABLE_FIELDS_MAX];
    size_t fields_len = cacheable_fields(shard, conn, answer, fields);
    const struct http_head head = answer_head(body, span_of(fields, fields_len));
    out.at += http_head_begin(shard, conn, out.at, HTTP_ANSWER_HEAD_MAX, &head);
    if (conn->state != CONN_OPEN)
        return (struct frame){0}; /* no memory for a stream's head: the messages went with it */
    if (!(conn->asked & ASKED_HEAD_ONLY))
        out.at += json_answer_next(answer, &(struct json_cursor){0}, out.at, body);
    return frame_end(shard, &out);
}

static struct frame encode_json(struct shard *shard, const struct json_answer *answer)
{
    struct out out;
    size_t body = json_answer_size(answer);
    if (!frame_begin(shard, body, &out))
        return (struct frame){0};
    out.at += json_answer_next(answer, &(struct json_cursor){0}, out.at, body);
    return frame_end(shard, &out);
}

/* ---- the frames of a batch ---- */

static struct frame encode_batch(struct shard *shard, struct conn *conn,
                                 const struct hub_batch *batch, struct encoding encoding)
{
    const struct message *last = batch->messages[batch->count - 1];
    struct position position = {last->epoch, last->offset};
    const struct standing alone = {&position, 1, 0};
    switch (encoding.format) {
    case FORMAT_WS_RAW:
        return encode_ws_raw(shard, batch->messages, batch->count);
    case FORMAT_WS_ENVELOPE:
        return encode_ws_envelopes(shard, batch->messages, batch->count, &alone);
    case FORMAT_WS_PUSH:
    case FORMAT_WS_BARE_PUSH:
    case FORMAT_LINE_PUSH:
    case FORMAT_LINE_BARE_PUSH:
    case FORMAT_SSE_PUSH:
    case FORMAT_SSE_BARE_PUSH:
        return encode_pushes(shard, batch->messages, batch->count, encoding);
    case FORMAT_WS_RAW_DEFLATED:
        return encode_ws_raw_deflated(shard, batch->messages, batch->count);
    case FORMAT_WS_ENVELOPE_DEFLATED:
        return encode_ws_envelopes_deflated(shard, batch->messages, batch->count, &position);
    case FORMAT_SSE:
    case FORMAT_SSE_ENVELOPE:
        return encode_sse(shard, batch->messages, batch->count, &alone, encoding);
    case FORMAT_ANSWER:
    case FORMAT_ANSWER_RECOVERED:
        break;
    case FORMAT_COUNT:
        assert(!"not a format");
    }
    unsigned fit = json_fit(batch->messages, batch->count, answer_weight_max(shard));
    position.offset = batch->messages[fit - 1]->offset;
    const struct json_answer answer = {&position,
                                       1,
                                       batch->messages,
                                       fit,
                                       encoding.format == FORMAT_ANSWER_RECOVERED,
                                       batch->messages[fit - 1]->last};
    return encoding.framing == FRAMING_HTTP_1 ? encode_answer(shard, conn, &answer)
                                              : encode_json(shard, &answer);
}

struct frame encoder_frame(struct shard *shard, struct conn *conn, const struct hub_batch *batch,
                           struct encoding encoding)
{
    struct encoder *encoder = shard->encoder;
    if (!encoder)
        return (struct frame){0};
    unsigned at = encoding.format * FRAMING_COUNT + encoding.framing;
    struct frame *kept = &encoder->frames[at];
    if (!(encoder->tried & UINT64_C(1) << at)) {
        encoder->tried |= UINT64_C(1) << at;
        *kept = encode_batch(shard, conn, batch, encoding);
        if (kept->block)
            block_ref(kept->block);
    }
    return *kept;
}

bool encoder_shares_answer(const struct shard *shard, const struct hub_batch *batch)
{
    struct encoder *encoder = shard->encoder;
    if (encoder && encoder->answer_weight == 0)
        for (unsigned i = 0; i < batch->count; i++)
            encoder->answer_weight += json_weight(batch->messages[i]);
    return !encoder || encoder->answer_weight <= ANSWER_SHARED_WEIGHT;
}

struct frame encoder_answer(struct shard *shard, struct conn *conn, const struct hub_batch *batch,
                            bool recovered)
{
    bool is_stream = conn->link & LINK_STREAM;
    const struct encoding encoding = {recovered ? FORMAT_ANSWER_RECOVERED : FORMAT_ANSWER,
                                      is_stream ? FRAMING_NONE : FRAMING_HTTP_1};
    struct frame frame = encoder_frame(shard, conn, batch, encoding);
    if (is_stream && frame.block) {
        const struct http_head head = answer_head(frame.len, SPAN(CACHEABLE_NOT));
        http_head_begin(shard, conn, NULL, 0, &head);
    }
    return frame;
}
