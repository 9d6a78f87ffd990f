/* centrifuge: the Centrifuge protocol over a WebSocket: GET /connection/websocket.
 *
 * Text messages, of one command or several, a line each. The first command is connect; from then on
 * the server sends a ping, {}, with each heartbeat, and the client answers it with the same. */
#include "session/presence.h"
#include "session/session_internal.h"
#include "transport/websocket.h"

static void session_input_message(struct shard *shard, struct conn *conn, struct span payload,
                                  bool text)
{
    struct span line;
    unsigned count = 0;
    if (!text) {
        websocket_fail(shard, conn, CLOSE_SESSION_PROTOCOL);
        return;
    }
    while (conn->state == CONN_OPEN && !(conn->role & ROLE_CLOSE_SENT) &&
           centrifuge_line_next(&payload, &line)) {
        struct centrifuge_command command;
        if (++count > SESSION_COMMANDS_MAX || centrifuge_command_read(&command, line) < 0) {
            counter_add(&shard->counters.commands_bad, 1);
            websocket_fail(shard, conn, CLOSE_SESSION_BAD_REQUEST);
            return;
        }
        counter_add(&shard->counters.commands, 1);
        session_command(shard, conn, &command);
    }
}

static void session_timer(struct shard *shard, struct conn *conn)
{
    if (conn->role & ROLE_CLOSE_SENT) {
        conn_end(shard, conn, END_CLOSE, CLOSE_GOING_AWAY);
    } else if (session_of(shard, conn)->state == SESSION_NEW) {
        websocket_fail(shard, conn, CLOSE_SESSION_STALE);
    } else if (conn->role & ROLE_PING_SENT) {
        websocket_fail(shard, conn, CLOSE_SESSION_NO_PONG);
    } else if (websocket_is_late(shard, conn)) {
        websocket_fail(shard, conn, CLOSE_WS_TIMEOUT);
    } else {
        counter_add(&shard->counters.pings, 1);
        conn->role |= ROLE_PING_SENT;
        websocket_send(shard, conn, WS_TEXT, SPAN("{}"), SEND_CONTROL);
        conn_heartbeat(shard, conn);
        if (conn->state == CONN_OPEN)
            subscriptions_expire(shard, conn);
        if (conn->state == CONN_OPEN)
            presence_refresh(shard, conn);
    }
}

static void session_drain(struct shard *shard, struct conn *conn)
{
    websocket_say_goodbye(shard, conn);
    session_end(shard, conn);
}

void session_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span key;
    if (!websocket_handshake(shard, conn, exchange->request, &key))
        return;
    if (session_begin(shard, conn) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    websocket_begin(shard, conn, key, TRANSPORT_SESSION);
    if (conn->state == CONN_OPEN)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
}

const struct transport session_transport = {
    .name = "session",
    .input = websocket_input,
    .message = session_input_message,
    .give_up = websocket_give_up,
    .drained = replay_drained,
    .timer = session_timer,
    .signed_off = websocket_fail,
    .drain = session_drain,
    .leave = session_end,
    .closed = websocket_closed,
    .subscribed = session_subscribed,
    .read = session_read,
    .published = session_published,
    .deliver = session_deliver,
    .events = session_events,
};
