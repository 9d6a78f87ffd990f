/* ws_opening: how a WebSocket begins: GET /ws and /echo, and the same as a session of WebTransport,
 * CONNECT /wt and /echo. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/permit.h"
#include "conn/carrier.h"
#include "transport/gathering.h"
#include "transport/standing.h"
#include "transport/transports.h"
#include "transport/websocket.h"
#include "transport/webtransport.h"

/* ---- between the request and its answer ----
 *
 * Whoever has seen the handshake answered hears what is published from then on: so the answer waits
 * for the subscription, and leaves in one send with what that brings. Frames that come before wait
 * in the stash. */

struct opening {
    size_t key_len;
    char key[]; /* of the handshake; a stream has none */
};

static int opening_begin(struct conn *conn, struct span key)
{
    struct conn_extra *extra = conn_extra(conn);
    struct opening *opening = extra ? malloc(sizeof *opening + key.len) : NULL;
    if (!opening)
        return -ENOMEM;
    opening->key_len = key.len;
    if (key.len > 0)
        memcpy(opening->key, key.ptr, key.len);
    extra->transport_state = opening;
    extra->state_bytes = (uint32_t)(sizeof *opening + key.len);
    conn_hand_over(conn, TRANSPORT_OPENING);
    return 0;
}

/* What a client sends ahead of the answer, at most a message. A socket is not read from beyond a
 * head's length of it; a stream has its window. */
static void opening_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    const struct settings *settings = shard->settings;
    struct stash *early = &conn->extra->input;
    size_t max = (size_t)settings->message_bytes_max + 2 * RECEIVE_BYTES;
    if (stash_append(early, bytes, len, max) < 0)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
    else if (early->len > (size_t)settings->head_bytes_max)
        conn_pause(conn);
}

static void opening_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    free(conn->extra->transport_state);
    conn->extra->transport_state = NULL;
    gathering_end(conn);
}

static void opening_drain(struct shard *shard, struct conn *conn)
{
    http_refuse(shard, conn, REFUSAL_DRAINING);
}

/* What came before the answer. */
static void take_early(struct shard *shard, struct conn *conn)
{
    if (conn->state != CONN_OPEN || !conn->extra)
        return;
    struct stash early = conn->extra->input;
    conn->extra->input = (struct stash){0};
    if (early.len > 0)
        websocket_input(shard, conn, early.bytes, early.len);
    stash_free(&early);
    conn_extra_trim(shard, conn);
    if (conn->state == CONN_OPEN && conn->link & LINK_PAUSED)
        conn_resume(shard, conn);
    budgets_charge_input(shard, conn);
}

static void opening_subscribed(struct shard *shard, struct conn *conn,
                               const struct hub_reply *reply)
{
    struct opening *opening = conn->extra->transport_state;
    if (reply->err < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    conn->extra->transport_state = NULL;
    websocket_begin(shard, conn, span_of(opening->key, opening->key_len), TRANSPORT_WEBSOCKET);
    free(opening);
    if (conn->state == CONN_OPEN)
        conn_transport(shard, conn)->subscribed(shard, conn, reply);
    take_early(shard, conn);
    if (conn->link & LINK_INPUT_ENDED)
        conn_end(shard, conn, END_SENT, CLOSE_DONE);
}

/* ---- opening ---- */

/* Returns false when it was refused. */
static bool wish(struct shard *shard, struct conn *conn, const struct exchange *exchange,
                 const struct params *params)
{
    bool is_session = wt_is_session(exchange->request);
    struct carrier_wish wish = {.number = params->number};
    if (is_session && webtransport_offers(&exchange->request->fields, SPAN(WT_PROTOCOL)))
        wish.protocol = WT_PROTOCOL;
    if (!is_session && params->number < 0)
        return true;
    if (is_session)
        conn->role |= ROLE_KEPT;
    if (params->number >= 0)
        conn->role |= ROLE_LATEST;
    bool can = params->number < 0 || (params->channel_count <= 1 && !params->delta);
    switch (can ? stream_wish(shard, conn, &wish) : -EOPNOTSUPP) {
    case 0:
        return true;
    case -EEXIST:
        http_error(shard, conn, REFUSAL_BAD_DATAGRAMS);
        return false;
    case -EOPNOTSUPP:
        http_error(shard, conn, REFUSAL_NO_DATAGRAMS);
        return false;
    default:
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return false;
    }
}

/* The handshake is right: subscribes, and waits for that. */
static void subscribe(struct shard *shard, struct conn *conn, struct exchange *exchange,
                      struct params *params, struct span key)
{
    if (params->channel_count > 1 && !params->envelope) {
        http_error(shard, conn, REFUSAL_ENVELOPE_REQUIRED);
        return;
    }
    if (!permit_stream(shard, conn, exchange->request, params) ||
        !wish(shard, conn, exchange, params))
        return;
    if (standing_subscribe(shard, conn, params, GATHERING_UNBOUNDED) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    if (params->envelope)
        conn->asked |= ASKED_ENVELOPE;
    if (opening_begin(conn, key) == 0)
        return;
    gathering_end(conn);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

void websocket_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span key;
    if (!websocket_handshake(shard, conn, exchange->request, &key))
        return;
    struct params *params = http_params(shard, conn, exchange);
    if (params)
        subscribe(shard, conn, exchange, params, key);
}

void echo_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span key = {0};
    if (!shard->settings->echo) {
        http_error(shard, conn, REFUSAL_ECHO_OFF);
        return;
    }
    if (!wt_is_session(exchange->request) &&
        !websocket_handshake(shard, conn, exchange->request, &key))
        return;
    const struct params *params = http_params_any(shard, conn, exchange);
    if (params && wish(shard, conn, exchange, params))
        websocket_begin(shard, conn, key, TRANSPORT_ECHO);
}

void wt_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    if (!wt_is_session(exchange->request)) {
        http_error(shard, conn, refusal_handshake(WS_HANDSHAKE_UPGRADE));
        return;
    }
    struct params *params = http_params_any(shard, conn, exchange);
    if (!params)
        return;
    if (params->channel_count > 0)
        subscribe(shard, conn, exchange, params, (struct span){0});
    else if (wish(shard, conn, exchange, params))
        wt_begin(shard, conn);
}

const struct transport opening_transport = {
    .name = "opening",
    .is_tunnel = true,
    .input = opening_input,
    .give_up = http_give_up,
    .signed_off = permit_end,
    .drain = opening_drain,
    .closed = opening_closed,
    .subscribed = opening_subscribed,
};
