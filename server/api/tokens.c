/* tokens: POST /ticket, for clients that cannot set a header, and POST /revoke, for servers.
 * Neither has a body.
 *
 *   /ticket                with a token: a ticket for what that allows
 *   /ticket?user=U         with an API key: for the user, and &channel=C gives that channel
 *   /revoke?user=U&ttl=S   all tokens of a user that were issued until now
 *   /revoke?token=JTI      one
 *   /revoke?client=ID      none, but the session of that id, which lives once
 */
#include <assert.h>
#include <stdio.h>

#include "api/api.h"
#include "auth/auth.h"
#include "auth/permit.h"
#include "conn/sign_on.h"
#include "session/orders.h"

enum {
    ANSWER_MAX = JWT_BYTES_MAX + 128,
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
    if (order_give(shard, &ticket, &order, told) < 0)
        http_error(shard, conn, REFUSAL_OVERLOADED);
    else
        answer(shard, conn, SPAN("{\"revoked\":true}\n"));
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
    if (sign_ons_revoke(shard, key, before_s, now_s + ttl_s) < 0)
        http_error(shard, conn, REFUSAL_OVERLOADED);
    else
        answer(shard, conn, SPAN("{\"revoked\":true}\n"));
}
