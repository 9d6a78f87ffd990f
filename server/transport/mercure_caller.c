/* mercure_caller: who asks a Mercure hub, and for what. */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "auth/permit.h"
#include "transport/mercure.h"

/* A cookie says nothing of who has made a browser send it: to publish it does not count. */
static struct span token_of(struct shard *shard, const struct http_request *request)
{
    struct span token = permit_bearer(request), name, value;
    struct http_query walk;
    http_query_init(&walk, request->query, shard->scratch, (size_t)shard->settings->head_bytes_max);
    while (token.len == 0 && shard->settings->url_tokens &&
           http_query_next(&walk, &name, &value) == 1)
        if (span_equal(name, SPAN("authorization")))
            token = value;
    if (token.len == 0 && request->method != HTTP_POST)
        token = permit_cookie(request, SPAN("mercureAuthorization"));
    return token;
}

bool mercure_caller_read(struct mercure_caller *ret, struct jwt_claims *ret_claims, char *area,
                         struct shard *shard, const struct http_request *request, struct span act,
                         enum refusal *ret_refusal)
{
    struct span list;
    ret->signed_on = false;
    ret->allowed.count = ret->allowed.bytes = 0;
    if (auth_is_server(shard, request))
        return mercure_selectors_add(&ret->allowed, SPAN("*"));
    struct span token = token_of(shard, request);
    *ret_refusal = REFUSAL_TOKEN_REQUIRED;
    if (token.len == 0)
        return request->method != HTTP_POST && shard->settings->anonymous;
    if (!shard->server->auth)
        return false;
    int err = auth_token(shard, token, ret_claims, area);
    *ret_refusal = err < 0 ? permit_refusal(err) : REFUSAL_TOKEN_INVALID;
    if (err < 0)
        return false;
    ret->signed_on = true;
    return !mercure_claim_list(ret_claims->mercure, act, &list) ||
           mercure_selectors_add_json(&ret->allowed, list);
}

struct mercure_selectors *mercure_selectors_copy(const struct mercure_selectors *selectors)
{
    size_t size = offsetof(struct mercure_selectors, text) + selectors->bytes;
    struct mercure_selectors *copy = malloc(size);
    if (copy)
        memcpy(copy, selectors, size);
    return copy;
}
