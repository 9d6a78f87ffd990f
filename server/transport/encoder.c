#include "transport/encoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "http/exchange.h"
#include "transport/cacheable.h"
#include "transport/compression.h"
#include "transport/deltas.h"
#include "transport/encoder_internal.h"
#include "transport/json.h"
#include "transport/pushes.h"

enum {
    ENCODINGS = FORMAT_COUNT * FRAMING_COUNT * CODING_COUNT * TELL_COUNT,
};

struct encoder {
    uint64_t answer_weight; /* of the batch, as an answer; 0: not looked at yet */
    struct frame frames[ENCODINGS];
    bool tried[ENCODINGS];    /* and when there is no frame then, it was too much for memory */
    uint16_t list[ENCODINGS]; /* of those tried */
    unsigned count;
};
static_assert(ENCODINGS <= UINT16_MAX, "a number for each");

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
    deltas_release(shard);
    while (encoder->count > 0) {
        unsigned at = encoder->list[--encoder->count];
        struct frame *frame = &encoder->frames[at];
        if (frame->block)
            block_unref(&shard->blocks, frame->block);
        *frame = (struct frame){0};
        encoder->tried[at] = false;
    }
}

void encoder_done(struct shard *shard)
{
    encoder_release(shard);
    compression_done(shard);
    deltas_done(shard);
    free(shard->encoder);
    shard->encoder = NULL;
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

static struct frame encode_raw(struct shard *shard, const struct hub_batch *batch, bool deflated)
{
    return deflated ? encode_ws_raw_deflated(shard, batch->messages, batch->count)
                    : encode_ws_raw(shard, batch->messages, batch->count);
}

static struct frame encode_envelopes(struct shard *shard, const struct hub_batch *batch,
                                     const struct standing *alone, bool deflated)
{
    return deflated ? encode_ws_envelopes_deflated(shard, batch->messages, batch->count, alone)
                    : encode_ws_envelopes(shard, batch->messages, batch->count, alone);
}

static struct frame encode_batch_pushes(struct shard *shard, const struct hub_batch *batch,
                                        const struct span *deltas, struct encoding encoding)
{
    const struct pushes pushes = {batch->messages, batch->count, deltas, batch->before};
    return encode_pushes(shard, &pushes, encoding);
}

static struct frame encode_batch(struct shard *shard, struct conn *conn,
                                 const struct hub_batch *batch, struct encoding encoding)
{
    const struct message *last = batch->messages[batch->count - 1];
    const struct span *deltas = encoding.telling == TELL_CHANGES ? deltas_of(shard, batch) : NULL;
    struct position position = {last->epoch, last->offset};
    const struct standing alone = {&position, 1, 0, deltas};
    switch (encoding.format) {
    case FORMAT_WS_RAW:
        return encode_raw(shard, batch, encoding.coding == CODING_DEFLATED);
    case FORMAT_WS_ENVELOPE:
        return encode_envelopes(shard, batch, &alone, encoding.coding == CODING_DEFLATED);
    case FORMAT_WS_PUSH:
    case FORMAT_WS_BARE_PUSH:
    case FORMAT_LINE_PUSH:
    case FORMAT_LINE_BARE_PUSH:
    case FORMAT_SSE_PUSH:
    case FORMAT_SSE_BARE_PUSH:
        return encode_batch_pushes(shard, batch, deltas, encoding);
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
    unsigned at = (encoding.format * FRAMING_COUNT + encoding.framing) * CODING_COUNT;
    at = (at + encoding.coding) * TELL_COUNT + encoding.telling;
    struct frame *kept = &encoder->frames[at];
    if (!encoder->tried[at]) {
        encoder->tried[at] = true;
        encoder->list[encoder->count++] = (uint16_t)at;
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
                                      is_stream ? FRAMING_NONE : FRAMING_HTTP_1, CODING_PLAIN,
                                      TELL_WHOLE};
    struct frame frame = encoder_frame(shard, conn, batch, encoding);
    if (is_stream && frame.block) {
        const struct http_head head = answer_head(frame.len, SPAN(CACHEABLE_NOT));
        http_head_begin(shard, conn, NULL, 0, &head);
    }
    return frame;
}
