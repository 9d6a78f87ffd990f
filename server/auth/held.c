#include "auth/held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "broker/nodes.h"
#include "hub/hub.h"
#include "wire/out.h"

enum {
    TAKE_TEXT_MAX = 64,
};

struct held {
    const struct route *route;
    uint64_t nonce;
    struct http_request request;
    char bytes[];
};

/* ---- the copy ---- */

static size_t request_bytes(const struct http_request *request)
{
    size_t bytes = request->method_name.len + request->target.len + request->path.len +
                   request->query.len + request->protocol.len + request->host.len;
    for (unsigned i = 0; i < request->fields.count; i++)
        bytes += request->fields.list[i].name.len + request->fields.list[i].value.len;
    return bytes;
}

static void keep(struct span *span, char **at)
{
    if (span->len > 0)
        memcpy(*at, span->ptr, span->len);
    span->ptr = *at;
    *at += span->len;
}

static struct held *held_create(const struct route *route, const struct http_request *request)
{
    size_t bytes = request_bytes(request);
    struct held *held = malloc(sizeof *held + bytes);
    if (!held)
        return NULL;
    char *at = held->bytes;
    held->route = route;
    held->request = *request;
    keep(&held->request.method_name, &at);
    keep(&held->request.target, &at);
    keep(&held->request.path, &at);
    keep(&held->request.query, &at);
    keep(&held->request.protocol, &at);
    keep(&held->request.host, &at);
    for (unsigned i = 0; i < held->request.fields.count; i++) {
        keep(&held->request.fields.list[i].name, &at);
        keep(&held->request.fields.list[i].value, &at);
    }
    return held;
}

static struct held *held_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void held_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    if (!held_of(conn))
        return;
    free(held_of(conn));
    conn->extra->transport_state = NULL;
}

static bool held_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard, (void)conn;
    return true;
}

const struct transport held_transport = {
    .name = "held",
    .input = http_stash,
    .input_ended = held_input_ended,
    .give_up = http_give_up,
    .drain = http_drain,
    .closed = held_closed,
};

/* ---- the answer ---- */

static void serve(struct shard *shard, struct conn *conn, struct held *held)
{
    struct exchange exchange = {&held->request, NULL, 0};
    conn->extra->transport_state = NULL;
    conn_hand_over(conn, TRANSPORT_HTTP);
    auth_ticket_cleared(shard, held->nonce);
    held->route->open(shard, conn, &exchange);
    auth_ticket_cleared(shard, 0);
    free(held);
    http_resumed(shard, conn);
}

static void taken(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &ask->call.ticket);
    int err = ask->call.err;
    nodes_ask_free(ask);
    if (!conn)
        return;
    if (err == 0) {
        serve(shard, conn, held_of(conn));
        return;
    }
    http_refuse(shard, conn, err == -EEXIST ? REFUSAL_TICKET_INVALID : REFUSAL_BROKER_DOWN);
}

static struct nodes_ask *ask_create(uint64_t nonce, int64_t ttl_ms)
{
    char text[TAKE_TEXT_MAX], hex[DIGITS_HEX_MAX];
    struct out out = out_begin(text, sizeof text);
    out_span(&out, span_of(hex, digits_hex_write(hex, nonce)));
    out_text(&out, " ");
    out_decimal(&out, (uint64_t)ttl_ms);
    struct nodes_ask *ask = nodes_ask_create(NODES_TAKE, 0, span_of(text, (size_t)out_end(&out)));
    if (ask)
        ask->done = taken;
    return ask;
}

/* The ticket that a request brings, if it is a good one. What else is in the query is looked at
 * when it is served. */
static uint64_t nonce_of(struct shard *shard, const struct http_request *request)
{
    struct params params = {0};
    if (!memmem(request->query.ptr, request->query.len, "ticket=", strlen("ticket=")) ||
        params_read_any(&params, shard->settings, request->query, shard->scratch,
                        (size_t)shard->settings->head_bytes_max) < 0 ||
        params.ticket.len == 0)
        return 0;
    return auth_ticket_nonce(shard, params.ticket);
}

bool tickets_hold(struct shard *shard, struct conn *conn, const struct route *route,
                  const struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    bool has_body = request->fields.chunked || request->fields.content_length > 0;
    uint64_t nonce = request->query.len > 0 && !has_body ? nonce_of(shard, request) : 0;
    if (nonce == 0)
        return false;
    struct conn_extra *extra = conn_extra(conn);
    struct held *held = extra ? held_create(route, request) : NULL;
    struct nodes_ask *ask = held ? ask_create(nonce, shard->settings->ticket_ttl_ms) : NULL;
    if (ask)
        ask->call.ticket = conn_ticket(shard, conn, 0);
    if (!ask || nodes_send(shard->hub, shard->server->hubs, ask) < 0) {
        nodes_ask_free(ask);
        free(held);
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return true;
    }
    held->nonce = nonce;
    extra->transport_state = held;
    extra->state_bytes = sizeof *held + request_bytes(request);
    conn_hand_over(conn, TRANSPORT_HELD);
    return true;
}
