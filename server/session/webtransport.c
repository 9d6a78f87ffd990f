/* webtransport: the Centrifuge protocol over WebTransport: an extended CONNECT to
 * /connection/webtransport opens a session of it (draft-ietf-webtrans-http3-02), and each
 * bidirectional stream that the client then opens in it is a session of the protocol: commands and
 * replies as lines, both ways.
 *
 *   CONNECT ─► the session's line                  (TRANSPORT_WEBTRANSPORT)
 *   stream  ─► a line of its own, {"id":1,…} LF …  (TRANSPORT_SESSION_TUNNEL)
 *
 * A lost packet holds up the stream that it belongs to, and no other. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "conn/carrier.h"
#include "http/body.h"
#include "session/presence.h"
#include "session/session_internal.h"
#include "wire/webtransport.h"
#include "wire/ws.h"

#define PROTOCOL "centrifuge-json" /* the sub-protocol, for clients that offer it */

/* ---- the session of WebTransport ---- */

static void webtransport_end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    stream_farewell(shard, conn, close_reason_code(reason), span_from(close_reason_name(reason)));
    conn_end(shard, conn, END_SENT, reason);
}

/* The connection is kept alive by us: a session that has no stream is not what for. */
static void webtransport_timer(struct shard *shard, struct conn *conn)
{
    if (stream_carrier(shard, conn)->count > 1)
        conn_timer(shard, conn, shard->settings->idle_timeout_ms);
    else
        webtransport_end(shard, conn, CLOSE_IDLE);
}

static void webtransport_drain(struct shard *shard, struct conn *conn)
{
    webtransport_end(shard, conn, CLOSE_GOING_AWAY);
}

void webtransport_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    const struct carrier_wish wish = {
        .protocol = webtransport_offers(&request->fields, SPAN(PROTOCOL)) ? PROTOCOL : NULL,
        .number = -1,
    };
    if (!span_equal(request->protocol, WEBTRANSPORT_PROTOCOL) ||
        stream_wish(shard, conn, &wish) < 0) {
        http_error(shard, conn, refusal_handshake(WS_HANDSHAKE_UPGRADE));
        http_next(shard, conn);
        return;
    }
    conn_hand_over(conn, TRANSPORT_WEBTRANSPORT);
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200, .framing = http_stream_framing(conn)});
    if (conn->state == CONN_OPEN)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
}

/* ---- a stream of it ---- */

static void tunnel_begin(struct shard *shard, struct conn *session, struct conn *stream)
{
    (void)session;
    if (session_begin(shard, stream) < 0) {
        conn_end(shard, stream, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    counter_add(&shard->counters.streams_session, 1);
    conn_hand_over(stream, TRANSPORT_SESSION_TUNNEL);
    conn_timer(shard, stream, shard->settings->head_timeout_ms);
}

static void too_long(struct shard *shard, struct conn *conn)
{
    counter_add(&shard->counters.commands_bad, 1);
    session_fail(shard, conn, CLOSE_SESSION_BAD_REQUEST);
}

/* Keeps the beginning of a line. Returns false when that is too long, and the end. */
static bool keep(struct shard *shard, struct conn *conn, const char *bytes, size_t len)
{
    struct conn_extra *extra = conn_extra(conn);
    size_t max = (size_t)shard->settings->message_bytes_max;
    if (extra && stash_append(&extra->message, bytes, len, max) == 0)
        return true;
    too_long(shard, conn);
    return false;
}

/* Lines that are whole are understood where they lie, with what of the first came before. */
static void tunnel_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    const char *last = memrchr(bytes, '\n', len);
    size_t whole = last ? (size_t)(last - bytes) + 1 : 0;
    bool waits = conn->extra && conn->extra->message.len > 0;
    conn->role &= ~(uint32_t)ROLE_PING_SENT;
    if (whole > 0 && !waits) {
        session_commands(shard, conn, span_of(bytes, whole - 1));
    } else if (whole > 0) {
        if (!keep(shard, conn, bytes, whole - 1))
            return;
        struct stash lines = conn->extra->message;
        conn->extra->message = (struct stash){0};
        session_commands(shard, conn, span_of(lines.bytes, lines.len));
        free(lines.bytes);
    }
    if (conn->state == CONN_OPEN && whole < len)
        keep(shard, conn, bytes + whole, len - whole);
}

static void tunnel_drain(struct shard *shard, struct conn *conn)
{
    session_fail(shard, conn, CLOSE_GOING_AWAY);
}

static void tunnel_give_up(struct shard *shard, struct conn *conn)
{
    session_say_goodbye(shard, conn, CLOSE_INPUT_TOTAL);
}

static void tunnel_closed(struct shard *shard, struct conn *conn)
{
    (void)conn;
    counter_sub(&shard->counters.streams_session, 1);
}

const struct transport webtransport_transport = {
    .name = "webtransport",
    .is_tunnel = true,
    .opened = tunnel_begin,
    .timer = webtransport_timer,
    .drain = webtransport_drain,
};

const struct transport session_tunnel_transport = {
    .name = "session_tunnel",
    .is_tunnel = true,
    .input = tunnel_input,
    .give_up = tunnel_give_up,
    .drained = replay_drained,
    .timer = session_beat,
    .signed_off = session_fail,
    .drain = tunnel_drain,
    .leave = session_end,
    .closed = tunnel_closed,
    .subscribed = session_subscribed,
    .read = session_read,
    .published = session_published,
    .deliver = session_deliver,
    .events = session_events,
};
