/* permit: whether who asks by a plain request may have what it asks for; and if it is to live on,
 * until when.
 *
 *   Authorization: Bearer TOKEN ┐
 *   ?token=TOKEN   ?ticket=T    ├─► claims ─► namespace of each channel ─► yes, or 401, or 403
 *   Cookie: ringside_token=…    ┘
 *   Authorization: apikey KEY, X-API-Key: KEY, or the operator's listener: a server, which may all
 *
 * Threads  The shard's.
 * Memory   Claims are in the caller's struct permit, as long as that.
 * Bounds   One of them counts, the first in this order; one that is wrong is refused, also where
 *          none is needed. Without token_keys tokens are not looked at.
 * Source   RFC 6750: WWW-Authenticate, invalid_token, insufficient_scope. */
#pragma once

#include "auth/jwt.h"
#include "conf/namespaces.h"
#include "http/exchange.h"

enum permit_act {
    PERMIT_SUBSCRIBE,
    PERMIT_PUBLISH,
};

/* Who asks. */
struct permit {
    enum who who;             /* WHO_ANONYMOUS, WHO_SIGNED_ON or WHO_SERVER */
    struct jwt_claims claims; /* of WHO_SIGNED_ON */
    enum refusal refusal;     /* when reading failed */
    char area[JWT_AREA_BYTES];
};

/* The token of Authorization: Bearer, or that of a cookie; empty: there is none. */
struct span permit_bearer(const struct http_request *request);
struct span permit_cookie(const struct http_request *request, struct span wanted);

/* Finds out who asks. Returns false with `refusal` when that cannot be believed. */
bool permit_read(struct permit *ret, struct shard *shard, struct conn *conn,
                 const struct http_request *request, const struct params *params);

/* Whether that one may do this in a channel. */
bool permit_allows(const struct permit *permit, const struct shard *shard, struct span channel,
                   enum permit_act act);

/* Answers 401 or 403, and ends the connection if the request has a body that is not read. */
void permit_refuse(struct shard *shard, struct conn *conn, const struct http_request *request,
                   enum refusal refusal);

/* `signed_off` of the transports that owe an answer: 401, the last on this connection. */
void permit_end(struct shard *shard, struct conn *conn, enum close_reason reason);

/* All of it: who asks, and whether it may do this in each of the channels asked for. Returns false
 * when it has been refused. */
bool permit_request(struct shard *shard, struct conn *conn, const struct http_request *request,
                    const struct params *params, enum permit_act act);

/* The same for a subscription that lives on: the connection signs on, if it brings a token. */
bool permit_stream(struct shard *shard, struct conn *conn, const struct http_request *request,
                   const struct params *params);

/* Whether a connection that is subscribed to the channel may publish to it. */
bool permit_subscriber_publishes(const struct shard *shard, const struct conn *conn,
                                 struct span channel);

/* The refusal for an enum jwt_error. */
enum refusal permit_refusal(int jwt_error);
