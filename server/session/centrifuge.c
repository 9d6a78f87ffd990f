/* centrifuge: the Centrifuge protocol over a WebSocket: GET /connection/websocket, and
 * /connection/uni_websocket for clients that only listen.
 *
 * Text messages, of one command or several, a line each. The first command is connect; from then on
 * the server sends a ping, {}, with each heartbeat, and the client answers it with the same. A
 * client that only listens sends the request of a connect alone, or has it in the query. */
#include <errno.h>

#include "session/asking.h"
#include "session/presence.h"
#include "session/session_internal.h"
#include "transport/websocket.h"

int session_fields_keep(struct asking **ret, const struct shard *shard,
                        const struct http_request *request)
{
    switch (asking_begin(ret, shard->settings, request)) {
    case 0:
        return 0;
    case -E2BIG:
        return refusal_http(HTTP_ERROR_FIELDS_MANY);
    case -EINVAL:
        return refusal_http(HTTP_ERROR_FIELD_VALUE);
    default:
        return REFUSAL_OVERLOADED;
    }
}

static bool is_ending(const struct conn *conn)
{
    return conn->state != CONN_OPEN || conn->role & ROLE_CLOSE_SENT;
}

static void bad_request(struct shard *shard, struct conn *conn)
{
    counter_add(&shard->counters.commands_bad, 1);
    session_fail(shard, conn, CLOSE_SESSION_BAD_REQUEST);
}

void session_commands(struct shard *shard, struct conn *conn, struct span payload)
{
    struct span line;
    unsigned count = 0;
    while (!is_ending(conn) && centrifuge_line_next(&payload, &line)) {
        struct centrifuge_command command;
        if (++count > SESSION_COMMANDS_MAX || centrifuge_command_read(&command, line) < 0) {
            bad_request(shard, conn);
            return;
        }
        counter_add(&shard->counters.commands, 1);
        session_command(shard, conn, &command);
    }
}

/* Nothing stands for a request without members. */
static int request_read(struct centrifuge_command *ret, struct span request)
{
    bool none = request.len == 0 || span_equal(request, SPAN("null"));
    return centrifuge_connect_read(ret, none ? SPAN("{}") : request);
}

bool session_connect_valid(struct span request)
{
    struct centrifuge_command command;
    return request_read(&command, request) == 0;
}

void session_connect(struct shard *shard, struct conn *conn, struct span request)
{
    struct centrifuge_command command;
    if (request_read(&command, request) < 0) {
        bad_request(shard, conn);
        return;
    }
    counter_add(&shard->counters.commands, 1);
    session_command(shard, conn, &command);
}

/* Behind its connect, one that only listens has nothing to say. */
static void session_input_message(struct shard *shard, struct conn *conn, struct span payload,
                                  bool text)
{
    if (!text)
        session_fail(shard, conn, CLOSE_SESSION_PROTOCOL);
    else if (!(conn->role & ROLE_ONE_WAY))
        session_commands(shard, conn, payload);
    else if (session_of(shard, conn)->state == SESSION_NEW)
        session_connect(shard, conn, payload);
}

/* One that only listens answers the pings of its WebSocket, and none at all of a stream: there the
 * kernel finds out who has gone. */
void session_beat(struct shard *shard, struct conn *conn)
{
    bool one_way = conn->role & ROLE_ONE_WAY;
    if (session_of(shard, conn)->state != SESSION_CONNECTED) {
        session_fail(shard, conn, CLOSE_SESSION_STALE);
        return;
    }
    if (conn->role & ROLE_PING_SENT) {
        session_fail(shard, conn, CLOSE_SESSION_NO_PONG);
        return;
    }
    counter_add(&shard->counters.pings, 1);
    session_send(shard, conn, SPAN("{}"), SEND_CONTROL);
    if (one_way && conn->transport == TRANSPORT_SESSION)
        websocket_send(shard, conn, WS_PING, (struct span){0}, SEND_CONTROL);
    if (!one_way || conn->transport == TRANSPORT_SESSION)
        conn->role |= ROLE_PING_SENT;
    conn_heartbeat(shard, conn);
    if (conn->state == CONN_OPEN)
        subscriptions_expire(shard, conn);
    if (conn->state == CONN_OPEN)
        presence_refresh(shard, conn);
}

static void session_timer(struct shard *shard, struct conn *conn)
{
    if (conn->role & ROLE_CLOSE_SENT)
        conn_end(shard, conn, END_CLOSE, CLOSE_GOING_AWAY);
    else if (session_of(shard, conn)->state == SESSION_CONNECTED &&
             !(conn->role & ROLE_PING_SENT) && websocket_is_late(shard, conn))
        session_fail(shard, conn, CLOSE_WS_TIMEOUT);
    else
        session_beat(shard, conn);
}

static void session_drain(struct shard *shard, struct conn *conn)
{
    session_say_goodbye(shard, conn, CLOSE_GOING_AWAY);
    if (conn->state != CONN_OPEN)
        return;
    websocket_say_goodbye(shard, conn);
    session_end(shard, conn);
}

/* Returns false when the request was refused. */
static bool begin(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span key;
    if (!websocket_handshake(shard, conn, exchange->request, &key))
        return false;
    struct asking *asking;
    int refusal = session_fields_keep(&asking, shard, exchange->request);
    if (refusal == 0 && session_begin(shard, conn) < 0)
        refusal = REFUSAL_OVERLOADED;
    if (refusal != 0) {
        asking_end(shard, asking);
        http_refuse(shard, conn, (enum refusal)refusal);
        return false;
    }
    session_of(shard, conn)->asking = asking;
    websocket_begin(shard, conn, key, TRANSPORT_SESSION);
    if (conn->state == CONN_OPEN)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
    return true;
}

void session_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    begin(shard, conn, exchange);
}

void session_open_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = http_params_any(shard, conn, exchange);
    if (!params)
        return;
    if (!session_connect_valid(params->connect)) {
        http_error(shard, conn, REFUSAL_BAD_CONNECT);
        return;
    }
    if (!begin(shard, conn, exchange))
        return;
    conn->role |= ROLE_ONE_WAY;
    if (params->connect.len > 0 && conn->state == CONN_OPEN)
        session_connect(shard, conn, params->connect);
}

const struct transport session_transport = {
    .name = "session",
    .is_tunnel = true,
    .input = websocket_input,
    .message = session_input_message,
    .give_up = websocket_give_up,
    .drained = replay_drained,
    .timer = session_timer,
    .signed_off = session_signed_off,
    .drain = session_drain,
    .leave = session_end,
    .closed = websocket_closed,
    .subscribed = session_subscribed,
    .read = session_read,
    .published = session_published,
    .deliver = session_deliver,
    .events = session_events,
};
