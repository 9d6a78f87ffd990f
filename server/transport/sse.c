/* sse: GET /sse is an event stream (WHATWG HTML, section 9.2), chunked on HTTP/1.1.
 *
 *   retry: 2000            how long the client waits before it comes back
 *   id: 5f3a.16            where the stream begins, under `event: recovered` (or `unrecoverable`)
 *                          when a position was asked for
 *   id: 5f3a.17 / data: …  a message; `id` is the position behind it
 *   :                      a comment, when nothing was sent for heartbeat_ms */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "auth/permit.h"
#include "transport/catch_up.h"
#include "transport/gathering.h"
#include "transport/standing.h"
#include "transport/stream.h"
#include "transport/transports.h"
#include "wire/accept.h"
#include "wire/deflate.h"
#include "wire/out.h"
#include "wire/sse.h"

/* A proxy that compresses would hold events back until it has a block of them, and one that keeps
 * them would give them to others. */
#define SSE_FIELDS "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n"

enum {
    SSE_SHED_MAX = 32, /* "retry: 4294967295" and two line ends */
    SSE_OWN_MAX = 2 * POSITION_TOKEN_MAX(SETTINGS_CHANNELS_MAX) + 128,
    SSE_PIECE_ROOM = 16, /* of deflate_piece_room, beyond as much text */
};

/* What tells a client how to read the rest, and caches that others read another. */
#define SSE_GZIP_FIELDS SSE_FIELDS "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
#define SSE_ANY_FIELDS  SSE_FIELDS "Vary: Accept-Encoding\r\n"

/* Bytes of the body, as they are carried. */
static void send_body(struct shard *shard, struct conn *conn, struct span bytes)
{
    size_t room = HTTP_CHUNK_HEAD_MAX + bytes.len + sizeof HTTP_CHUNK_TAIL;
    char *area = blocks_reserve(&shard->blocks, room);
    if (!area) {
        conn_send(shard, conn, (struct frame){0}, SEND_CONTROL, 0);
        return;
    }
    struct out out = out_begin(area, room);
    if (http_is_chunked(conn))
        out.at += http_chunk_head_write(out.at, bytes.len);
    out_span(&out, bytes);
    if (http_is_chunked(conn))
        out_text(&out, HTTP_CHUNK_TAIL);
    conn_send(shard, conn, blocks_commit(&shard->blocks, (size_t)(out.at - out.start)),
              SEND_CONTROL, 0);
}

/* Events of the stream's own, or a comment. As gzip they are a piece that is stored. */
static void send_text(struct shard *shard, struct conn *conn, struct span text)
{
    char piece[SSE_OWN_MAX + SSE_PIECE_ROOM];
    assert(deflate_piece_room(text.len) <= sizeof piece);
    if (conn->asked & ASKED_GZIP)
        text = span_of(piece, deflate_piece(NULL, piece, text));
    send_body(shard, conn, text);
}

static void send_event(struct shard *shard, struct conn *conn, const struct sse_event *event)
{
    char text[SSE_OWN_MAX];
    assert(sse_event_size(event) <= sizeof text);
    send_text(shard, conn, span_of(text, sse_event_write(text, event)));
}

/* Where the stream begins: an id without an event, or, when a replay was asked for, whether it is
 * whole. */
static void write_standing(struct shard *shard, struct conn *conn, const struct position *positions,
                           unsigned count)
{
    char id[POSITION_TOKEN_MAX(SETTINGS_CHANNELS_MAX)];
    char data[sizeof id + 32];
    struct sse_event event = {.id = {id, position_write(id, positions, count)}};
    if (conn->asked & ASKED_SINCE) {
        int len = snprintf(data, sizeof data, "{\"position\":\"%.*s\"}", (int)event.id.len, id);
        event.event = conn->asked & ASKED_RECOVERED ? SPAN("recovered") : SPAN("unrecoverable");
        event.data = span_of(data, (size_t)len);
    }
    send_event(shard, conn, &event);
}

/* Of messages for this stream alone; those that all are given are deflated. */
static struct encoding encoding_of(const struct conn *conn)
{
    return (struct encoding){conn->asked & ASKED_ENVELOPE ? FORMAT_SSE_ENVELOPE : FORMAT_SSE,
                             http_is_chunked(conn) ? FRAMING_CHUNK : FRAMING_NONE,
                             conn->asked & ASKED_GZIP ? CODING_STORED : CODING_PLAIN, TELL_WHOLE};
}

static void write_messages(struct shard *shard, struct conn *conn, struct message *const *messages,
                           unsigned count, const struct standing *standing, enum send_kind kind)
{
    conn_send(shard, conn, encode_sse(shard, messages, count, standing, encoding_of(conn)), kind,
              count);
}

static const struct stream_writer writer = {write_standing, write_messages};

static void send_end(struct shard *shard, struct conn *conn)
{
    if (http_is_chunked(conn))
        conn_send_bytes(shard, conn, SPAN(HTTP_CHUNK_LAST));
}

static void sse_end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    send_end(shard, conn);
    conn_end(shard, conn, END_LINGER, reason);
}

/* What the reply has given is all that there will be. Without a message the client has the last
 * one, or it is forgotten. */
static void channel_ended(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->count == 0) {
        struct span name;
        name.ptr = hub_name_of(shard->hub, reply->subscription, &name.len);
        char text[ENCODER_END_MAX];
        send_text(shard, conn, span_of(text, encoder_end_event(text, name)));
    }
    if (conn->state == CONN_OPEN)
        sse_end(shard, conn, CLOSE_ENDED);
}

static void sse_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->err < 0) {
        sse_end(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (stream_subscribed(shard, conn, reply, &writer) < 0)
        sse_end(shard, conn, CLOSE_OVERLOADED);
    else if (reply->ended && !(conn->asked & ASKED_SEVERAL) && conn->state == CONN_OPEN)
        channel_ended(shard, conn, reply);
}

static void deliver_alone(struct shard *shard, struct conn *conn, uint32_t subscription,
                          const struct hub_batch *batch)
{
    struct encoding encoding = encoding_of(conn);
    if (encoding.coding == CODING_STORED)
        encoding.coding = CODING_DEFLATED;
    if (stream_takes_deltas(shard, conn, subscription))
        encoding.telling = TELL_CHANGES;
    conn_send(shard, conn, encoder_frame(shard, conn, batch, encoding), SEND_LIVE, batch->count);
    if (batch->messages[batch->count - 1]->last && conn->state == CONN_OPEN)
        sse_end(shard, conn, CLOSE_ENDED);
}

static void sse_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                        const struct hub_batch *batch)
{
    if (!(conn->asked & ASKED_SEVERAL))
        deliver_alone(shard, conn, subscription, batch);
    else if (stream_deliver_several(shard, conn, subscription, batch, &writer) < 0)
        sse_end(shard, conn, CLOSE_OVERLOADED);
}

static void sse_events(struct shard *shard, struct conn *conn, uint32_t subscription,
                       const struct hub_batch *batch)
{
    if (stream_hears(conn, batch))
        sse_deliver(shard, conn, subscription, batch);
}

static void sse_timer(struct shard *shard, struct conn *conn)
{
    if (conn_heartbeat_skip(shard, conn) > 0)
        return;
    counter_add(&shard->counters.pings, 1);
    send_text(shard, conn, SPAN(SSE_KEEP_ALIVE));
    conn_heartbeat(shard, conn);
}

static void sse_drain(struct shard *shard, struct conn *conn)
{
    sse_end(shard, conn, CLOSE_GOING_AWAY);
}

static void sse_closed(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.streams_sse, 1);
    gathering_end(conn);
    catch_up_end(conn);
}

/* A stream has no further requests: what a client sends is read and dropped. */
static void sse_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    (void)shard, (void)conn, (void)bytes, (void)len;
}

static struct span fields_of(const struct shard *shard, const struct conn *conn)
{
    if (conn->asked & ASKED_GZIP)
        return SPAN(SSE_GZIP_FIELDS);
    return shard->settings->sse_gzip ? SPAN(SSE_ANY_FIELDS) : SPAN(SSE_FIELDS);
}

/* The gzip member that begins here is not ended: its checksum would be one for each stream, and who
 * reads a stream does not wait for it. */
static void send_head(struct shard *shard, struct conn *conn)
{
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200,
                                       .framing = http_stream_framing(conn),
                                       .type = SPAN(SSE_CONTENT_TYPE),
                                       .extra = fields_of(shard, conn)});
    if (conn->asked & ASKED_GZIP && conn->state == CONN_OPEN)
        send_body(shard, conn, span_of(gzip_head, GZIP_HEAD));
    if (conn->state != CONN_OPEN)
        return;
    send_event(
        shard, conn,
        &(struct sse_event){.has_retry = true, .retry_ms = admission_retry_ms(&shard->admission)});
}

/* WHATWG HTML, section 9.2.3: "reestablish the connection" after the end of a stream, "fail the
 * connection" after any status but 200. */
void sse_shed(struct shard *shard, struct conn *conn, enum refusal refusal, uint32_t retry_ms)
{
    (void)refusal;
    const struct sse_event event = {.has_retry = true, .retry_ms = retry_ms};
    char stream[SSE_SHED_MAX];
    assert(sse_event_size(&event) <= sizeof stream);
    size_t len = sse_event_write(stream, &event);
    http_answer(shard, conn, 200, SPAN(SSE_CONTENT_TYPE), span_of(stream, len), SPAN(SSE_FIELDS));
}

/* A Last-Event-ID that is no position is one that is gone. To refuse it would end an EventSource
 * for ever: it gives up at any status but 200. */
void sse_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = http_params(shard, conn, exchange);
    if (!params || !permit_stream(shard, conn, exchange->request, params))
        return;
    const struct http_field *last =
        http_field_find(&exchange->request->fields, SPAN("Last-Event-ID"));
    if (last && last->value.len > 0 && params_since(params, last->value) < 0)
        params_since_lost(params);
    if (shard->settings->sse_gzip && accept_coding(&exchange->request->fields, SPAN("gzip")))
        conn->asked |= ASKED_GZIP;
    if (conn->asked & ASKED_HEAD_ONLY) {
        http_answer_no_body(shard, conn, SPAN(SSE_CONTENT_TYPE), fields_of(shard, conn));
        return;
    }
    if (standing_subscribe(shard, conn, params, GATHERING_UNBOUNDED) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    if (params->envelope)
        conn->asked |= ASKED_ENVELOPE;
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    /* First of all: to send may be its end, and then there is something to give back. */
    conn_hand_over(conn, TRANSPORT_SSE);
    counter_add(&shard->counters.streams_sse, 1);
    counter_add(&shard->counters.streams_gzip, conn->asked & ASKED_GZIP ? 1 : 0);
    send_head(shard, conn);
    if (conn->state == CONN_OPEN)
        conn_heartbeat(shard, conn);
}

const struct transport sse_transport = {
    .name = "sse",
    .input = sse_input,
    .give_up = send_end,
    .drained = catch_up_drained,
    .signed_off = sse_end,
    .timer = sse_timer,
    .drain = sse_drain,
    .closed = sse_closed,
    .subscribed = sse_subscribed,
    .deliver = sse_deliver,
    .events = sse_events,
};
