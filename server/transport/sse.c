/* sse: GET /sse is an event stream (WHATWG HTML, section 9.2), chunked on HTTP/1.1.
 *
 *   retry: 2000            how long the client waits before it comes back
 *   id: 5f3a.16            where the stream begins, under `event: recovered` (or `unrecoverable`)
 *                          when a position was asked for
 *   id: 5f3a.17 / data: …  a message; `id` is the position behind it
 *   :                      a comment, every heartbeat_ms */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "auth/permit.h"
#include "transport/catch_up.h"
#include "transport/gathering.h"
#include "transport/standing.h"
#include "transport/stream.h"
#include "transport/transports.h"
#include "wire/out.h"
#include "wire/sse.h"

/* A proxy that compresses would hold events back until it has a block of them, and one that keeps
 * them would give them to others. */
#define SSE_FIELDS "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n"

static enum framing framing_of(const struct conn *conn)
{
    return http_is_chunked(conn) ? FRAMING_CHUNK : FRAMING_NONE;
}

enum {
    SSE_SHED_MAX = 32, /* "retry: 4294967295" and two line ends */
};

static void send_event(struct shard *shard, struct conn *conn, const struct sse_event *event)
{
    size_t size = sse_event_size(event);
    size_t room = HTTP_CHUNK_HEAD_MAX + size + sizeof HTTP_CHUNK_TAIL;
    char *area = blocks_reserve(&shard->blocks, room);
    if (!area) {
        conn_send(shard, conn, (struct frame){0}, SEND_CONTROL, 0);
        return;
    }
    struct out out = out_begin(area, room);
    if (http_is_chunked(conn))
        out.at += http_chunk_head_write(out.at, size);
    out.at += sse_event_write(out.at, event);
    if (http_is_chunked(conn))
        out_text(&out, HTTP_CHUNK_TAIL);
    conn_send(shard, conn, blocks_commit(&shard->blocks, (size_t)(out.at - out.start)),
              SEND_CONTROL, 0);
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

static void write_messages(struct shard *shard, struct conn *conn, struct message *const *messages,
                           unsigned count, const struct standing *standing, enum send_kind kind)
{
    conn_send(shard, conn, encode_sse(shard, messages, count, standing, framing_of(conn)), kind,
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

static void sse_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->err < 0) {
        sse_end(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (stream_subscribed(shard, conn, reply, &writer) < 0)
        sse_end(shard, conn, CLOSE_OVERLOADED);
}

static void sse_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                        const struct hub_batch *batch)
{
    const struct encoding encoding = {FORMAT_SSE, framing_of(conn)};
    if (!(conn->asked & ASKED_SEVERAL))
        conn_send(shard, conn, encoder_frame(shard, conn, batch, encoding), SEND_LIVE,
                  batch->count);
    else if (stream_deliver_several(shard, conn, subscription, batch, &writer) < 0)
        sse_end(shard, conn, CLOSE_OVERLOADED);
}

static void sse_timer(struct shard *shard, struct conn *conn)
{
    counter_add(&shard->counters.pings, 1);
    conn_send_bytes(shard, conn,
                    http_is_chunked(conn) ? SPAN("3\r\n" SSE_KEEP_ALIVE "\r\n")
                                          : SPAN(SSE_KEEP_ALIVE));
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

static void send_head(struct shard *shard, struct conn *conn)
{
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200,
                                       .framing = http_stream_framing(conn),
                                       .type = SPAN(SSE_CONTENT_TYPE),
                                       .extra = SPAN(SSE_FIELDS)});
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
    if (conn->asked & ASKED_HEAD_ONLY) {
        http_answer_no_body(shard, conn, SPAN(SSE_CONTENT_TYPE), SPAN(SSE_FIELDS));
        return;
    }
    if (standing_subscribe(shard, conn, params, GATHERING_UNBOUNDED) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    /* First of all: to send may be its end, and then there is something to give back. */
    conn_hand_over(conn, TRANSPORT_SSE);
    counter_add(&shard->counters.streams_sse, 1);
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
};
