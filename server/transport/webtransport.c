#include "transport/webtransport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/carrier.h"
#include "http/body.h"
#include "hub/hub.h"
#include "wire/utf8.h"

/* ---- a session without a channel ---- */

void wt_begin(struct shard *shard, struct conn *conn)
{
    conn_hand_over(conn, TRANSPORT_WT);
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200, .framing = http_stream_framing(conn)});
    if (conn->state == CONN_OPEN)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
}

static void session_end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    stream_farewell(shard, conn, close_reason_code(reason), span_from(close_reason_name(reason)));
    conn_end(shard, conn, END_SENT, reason);
}

/* Its carrier keeps the connection alive, which a session without streams is no reason to. */
static void session_timer(struct shard *shard, struct conn *conn)
{
    if (stream_carrier(shard, conn)->count > 1)
        conn_timer(shard, conn, shard->settings->idle_timeout_ms);
    else
        session_end(shard, conn, CLOSE_IDLE);
}

static void session_drain(struct shard *shard, struct conn *conn)
{
    session_end(shard, conn, CLOSE_GOING_AWAY);
}

const struct transport wt_transport = {
    .name = "wt",
    .is_tunnel = true,
    .opened = wt_opened,
    .timer = session_timer,
    .drain = session_drain,
};

/* ---- a stream that says what it is for ---- */

void wt_opened(struct shard *shard, struct conn *session, struct conn *stream)
{
    (void)session;
    conn_hand_over(stream, TRANSPORT_WT_TARGET);
    stream->role |= ROLE_KEPT;
    conn_timer(shard, stream, shard->settings->head_timeout_ms);
}

/* What the client would send to open a WebSocket. */
static void serve(struct shard *shard, struct conn *stream, struct span target)
{
    struct http_request request = {0};
    conn_hand_over(stream, TRANSPORT_HTTP);
    int err =
        http_request_make(&request, SPAN("CONNECT"), target, SPAN("session"), SPAN("websocket"));
    if (err < 0)
        http_refuse_head(shard, stream, refusal_http(err));
    else
        http_serve(shard, stream, &request);
}

static void target_input(struct shard *shard, struct conn *stream, char *bytes, size_t len)
{
    char *end = memchr(bytes, '\n', len);
    size_t taken = end ? (size_t)(end - bytes) + 1 : len;
    struct conn_extra *extra = conn_extra(stream);
    size_t max = (size_t)shard->settings->head_bytes_max;
    if (!extra || stash_append(&extra->input, bytes, taken, max) < 0) {
        conn_end(shard, stream, END_CLOSE, CLOSE_BAD_REQUEST);
        return;
    }
    if (!end)
        return;
    struct stash target = extra->input;
    extra->input = (struct stash){0};
    serve(shard, stream, span_of(target.bytes, target.len - 1));
    stash_free(&target);
    conn_extra_trim(shard, stream);
    if (taken < len)
        http_stream_input(shard, stream, bytes + taken, len - taken);
}

static void target_timer(struct shard *shard, struct conn *stream)
{
    conn_end(shard, stream, END_CLOSE, CLOSE_HEAD_TIMEOUT);
}

const struct transport wt_target_transport = {
    .name = "wt_target",
    .is_tunnel = true,
    .input = target_input,
    .timer = target_timer,
};

/* ---- a message ---- */

/* Whose it is; the session may end before it is whole. */
static void message_closed(struct shard *shard, struct conn *stream)
{
    (void)shard;
    free(stream->extra->transport_state);
    stream->extra->transport_state = NULL;
}

void wt_opened_one_way(struct shard *shard, struct conn *session, struct conn *stream)
{
    struct conn_extra *extra = conn_extra(stream);
    struct ticket *owner = extra ? malloc(sizeof *owner) : NULL;
    if (!owner) {
        conn_end(shard, stream, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    *owner = conn_ticket(shard, session, 0);
    extra->transport_state = owner;
    extra->state_bytes = sizeof *owner;
    conn_hand_over(stream, TRANSPORT_WT_MESSAGE);
    conn_timer(shard, stream, shard->settings->body_timeout_ms);
}

static void message_input(struct shard *shard, struct conn *stream, char *bytes, size_t len)
{
    switch (stash_append(&stream->extra->message, bytes, len,
                         (size_t)shard->settings->message_bytes_max)) {
    case 0:
        break;
    case -ENOBUFS:
        conn_end(shard, stream, END_CLOSE, CLOSE_WS_TOO_BIG);
        break;
    default:
        conn_end(shard, stream, END_CLOSE, CLOSE_OVERLOADED);
    }
}

static bool message_ended(struct shard *shard, struct conn *stream)
{
    struct conn *session = conn_of_ticket(shard, stream->extra->transport_state);
    const struct stash *stash = &stream->extra->message;
    struct span message = span_of(stash->bytes ? stash->bytes : "", stash->len);
    if (session && !(session->role & ROLE_CLOSE_SENT))
        conn_transport(shard, session)->message(shard, session, message, utf8_valid(message));
    return false;
}

static void message_timer(struct shard *shard, struct conn *stream)
{
    conn_end(shard, stream, END_CLOSE, CLOSE_WS_TIMEOUT);
}

const struct transport wt_message_transport = {
    .name = "wt_message",
    .is_tunnel = true,
    .input = message_input,
    .input_ended = message_ended,
    .timer = message_timer,
    .closed = message_closed,
};
