/* mercure: GET /.well-known/mercure is an event stream of the updates whose topics a client asked
 * for (draft-dunglas-mercure-07). docs/decisions/mercure.md has the idea.
 *
 *   Last-Event-ID that is no position ─► hub_read, till it is found ─┐
 *   one that is, `earliest`, or none ────────────────────────────────┴─► subscribed ─► events
 *
 * All updates are messages of one channel, whose name no client can write. Each stream is given
 * those that its selectors, and its token, are for.
 *
 * Threads  The shard's.
 * Memory   A stream's selectors, and until it begins the id that it asks for. */
#pragma once

#include "http/exchange.h"
#include "transport/mercure_update.h"

#define MERCURE_CHANNEL "~mercure"

extern const struct transport mercure_transport;
extern const struct transport mercure_list_transport;

/* Who asks, by a token in the header Authorization, in authorization= or in the cookie
 * mercureAuthorization, or by an API key; and what the claim mercure.`act` of it lists, which a
 * server has `*` for. Returns false with the refusal. `area` is as auth_token wants it. */
struct jwt_claims;
struct mercure_caller {
    bool signed_on; /* by a token, whose claims are these */
    struct mercure_selectors allowed;
};
bool mercure_caller_read(struct mercure_caller *ret, struct jwt_claims *ret_claims, char *area,
                         struct shard *shard, const struct http_request *request, struct span act,
                         enum refusal *ret_refusal);

/* A copy as long as what is in it, to be freed; NULL without memory. */
struct mercure_selectors *mercure_selectors_copy(const struct mercure_selectors *selectors);

void mercure_subscribe_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void mercure_list_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
