/* tokens: POST /ticket, for clients that cannot set a header, and POST /revoke, for servers.
 * Neither has a body.
 *
 *   /ticket                with a token: a ticket for what that allows
 *   /ticket?user=U         with an API key: for the user, and &channel=C gives that channel
 *   /revoke?user=U&ttl=S   all tokens of a user that were issued until now
 *   /revoke?token=JTI      one
 *   /revoke?client=ID      none, but the session of that id, which lives once
 *
 * In a cluster a revocation is told to the other nodes, and answered when they have heard it:
 *
 *   u 1700000000 1700086400 alice      u: a user's tokens that were issued until then; t: a token
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "auth/auth.h"
#include "auth/permit.h"
#include "broker/nodes.h"
#include "conn/sign_on.h"
#include "hub/hub.h"
#include "session/order_text.h"
#include "session/orders.h"
#include "wire/json_scan.h"
#include "wire/out.h"

enum {
    ANSWER_MAX = JWT_BYTES_MAX + 128,
    REVOCATION_AROUND_MAX = 64,
};

/* The parameters of a request without a body; or it has been refused. */
static struct params *params_any(struct shard *shard, struct conn *conn,
                                 const struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    if (!request->fields.chunked && request->fields.content_length == 0)
        return http_params_any(shard, conn, exchange);
    http_refuse(shard, conn, REFUSAL_BODY_UNEXPECTED);
    return NULL;
}

static void answer(struct shard *shard, struct conn *conn, struct span body)
{
    http_answer(shard, conn, 200, SPAN("application/json"), body,
                SPAN("Cache-Control: no-store\r\n"));
}

/* A server says of whom it is; a client brings a token, and no ticket: that would make one last for
 * ever. */
static bool ticket_claims(struct permit *permit, const struct params *params)
{
    if (permit->who == WHO_SIGNED_ON)
        return params->ticket.len == 0;
    if (permit->who != WHO_SERVER || params->user.len == 0 || params->channel_count > 1)
        return false;
    permit->claims = (struct jwt_claims){.sub = params->user};
    if (params->channel_count == 1)
        permit->claims.channel = params->channels[0];
    return true;
}

void ticket_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = params_any(shard, conn, exchange);
    struct permit permit;
    char ticket[JWT_BYTES_MAX], body[ANSWER_MAX];
    if (!params)
        return;
    if (!shard->server->auth || shard->settings->ticket_ttl_ms == 0) {
        http_error(shard, conn, REFUSAL_TICKETS_OFF);
        return;
    }
    if (!permit_read(&permit, shard, conn, exchange->request, params)) {
        permit_refuse(shard, conn, exchange->request, permit.refusal);
        return;
    }
    bool may = ticket_claims(&permit, params);
    if (may && permit.who == WHO_SERVER)
        permit.claims.iat_s = shard_unix_s(shard);
    int len = may ? auth_login_ticket_make(shard, &permit.claims, ticket) : 0;
    if (len <= 0) {
        permit_refuse(shard, conn, exchange->request,
                      len < 0 ? REFUSAL_TOKEN_INVALID : REFUSAL_TOKEN_REQUIRED);
        return;
    }
    int size = snprintf(body, sizeof body, "{\"ticket\":\"%.*s\",\"ttl_ms\":%lld}\n", len, ticket,
                        (long long)shard->settings->ticket_ttl_ms);
    assert(size > 0 && (size_t)size < sizeof body);
    answer(shard, conn, span_of(body, (size_t)size));
}

/* What is revoked: exactly one of them. Returns 0 when that is not so. */
static uint64_t revocation_key(const struct shard *shard, const struct params *params)
{
    const struct hub_set *hubs = shard->server->hubs;
    bool of_user = params->user.len > 0;
    if (of_user == (params->token.len > 0))
        return 0;
    return sign_on_key(hubs, of_user ? REVOKE_USER : REVOKE_TOKEN,
                       of_user ? params->user : params->token);
}

/* ---- the other nodes ---- */

static void nodes_told(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &ask->call.ticket);
    int err = ask->call.err;
    nodes_ask_free(ask);
    if (!conn)
        return;
    if (err < 0)
        http_error(shard, conn, REFUSAL_NODE_SILENT);
    else
        answer(shard, conn, SPAN("{\"revoked\":true}\n"));
    http_next(shard, conn);
}

/* It has been done here: answers, or asks the others first. */
static void tell_nodes(struct shard *shard, struct conn *conn, enum nodes_kind kind,
                       struct span text)
{
    if (!shard->server->broker) {
        answer(shard, conn, SPAN("{\"revoked\":true}\n"));
        return;
    }
    struct nodes_ask *ask = nodes_ask_create(kind, 0, text);
    if (ask) {
        ask->call.ticket = conn_ticket(shard, conn, 0);
        ask->done = nodes_told;
    }
    if (!ask || nodes_send(shard->hub, shard->server->hubs, ask) < 0) {
        nodes_ask_free(ask);
        http_error(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    conn_hand_over(conn, TRANSPORT_REVOKE);
}

static bool revoke_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard, (void)conn;
    return true;
}

const struct transport revoke_transport = {
    .name = "revoke",
    .input = http_stash,
    .input_ended = revoke_input_ended,
    .give_up = http_give_up,
    .drain = http_drain,
};

static size_t revocation_write(char *area, size_t size, bool of_user, struct span name,
                               int64_t before_s, int64_t until_s)
{
    struct out out = out_begin(area, size);
    out_span(&out, of_user ? SPAN("u ") : SPAN("t "));
    out_decimal(&out, (uint64_t)before_s);
    out_text(&out, " ");
    out_decimal(&out, (uint64_t)until_s);
    out_text(&out, " ");
    out_span(&out, name);
    return (size_t)out_end(&out);
}

static bool number_take(struct span *rest, int64_t *ret)
{
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    uint64_t value;
    if (!space || !json_number_read(span_of(rest->ptr, (size_t)(space - rest->ptr)), &value) ||
        value > INT64_MAX)
        return false;
    *ret = (int64_t)value;
    *rest = span_skip(*rest, (size_t)(space - rest->ptr) + 1);
    return true;
}

static int revocation_hear(struct shard *shard, struct span text)
{
    int64_t before_s, until_s;
    bool of_user = text.len > 2 && text.ptr[0] == 'u';
    if (text.len < 2 || (text.ptr[0] != 'u' && text.ptr[0] != 't') || text.ptr[1] != ' ')
        return -EINVAL;
    text = span_skip(text, 2);
    if (!number_take(&text, &before_s) || !number_take(&text, &until_s) || text.len == 0)
        return -EINVAL;
    if (until_s <= shard_unix_s(shard))
        return 0;
    uint64_t key = sign_on_key(shard->server->hubs, of_user ? REVOKE_USER : REVOKE_TOKEN, text);
    return sign_ons_revoke(shard, key, before_s, until_s);
}

void revoke_heard(struct shard *shard, struct nodes_heard *heard)
{
    nodes_reply(shard->hub, heard, revocation_hear(shard, span_of(heard->text, heard->len)),
                (struct span){0});
}

/* ---- the request ---- */

/* Its shard has been told, and that is what the answer says. */
static void told(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err)
{
    (void)shard;
    (void)conn;
    (void)ticket;
    (void)err;
}

static void revoke_client(struct shard *shard, struct conn *conn, struct span client)
{
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    const struct order order = {.kind = ORDER_REVOKE, .client = client};
    char *text = malloc(order_text_room(&order));
    if (!text || order_give(shard, &ticket, &order, told) < 0)
        http_error(shard, conn, REFUSAL_OVERLOADED);
    else
        tell_nodes(shard, conn, NODES_ORDER, span_of(text, order_text_write(text, &order)));
    free(text);
}

void revoke_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = params_any(shard, conn, exchange);
    if (!params)
        return;
    if (conn->listener != LISTENER_ADMIN && !auth_is_server(shard, exchange->request)) {
        permit_refuse(shard, conn, exchange->request, REFUSAL_API_KEY_REQUIRED);
        return;
    }
    if (params->client.len > 0 && params->user.len == 0 && params->token.len == 0) {
        revoke_client(shard, conn, params->client);
        return;
    }
    uint64_t key = params->client.len == 0 ? revocation_key(shard, params) : 0;
    if (key == 0) {
        http_error(shard, conn, REFUSAL_BAD_REVOCATION);
        return;
    }
    int64_t now_s = shard_unix_s(shard);
    int64_t ttl_s = params->ttl_s > 0 ? params->ttl_s : shard->settings->revoked_ttl_s;
    int64_t before_s = params->user.len > 0 ? now_s : UINT32_MAX;
    bool of_user = params->user.len > 0;
    struct span name = of_user ? params->user : params->token;
    size_t room = name.len + REVOCATION_AROUND_MAX;
    char *text = malloc(room);
    if (!text || sign_ons_revoke(shard, key, before_s, now_s + ttl_s) < 0) {
        http_error(shard, conn, REFUSAL_OVERLOADED);
    } else {
        size_t len = revocation_write(text, room, of_user, name, before_s, now_s + ttl_s);
        tell_nodes(shard, conn, NODES_REVOKE, span_of(text, len));
    }
    free(text);
}
