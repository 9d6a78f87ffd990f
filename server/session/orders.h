/* orders: what a server has done to the sessions of a user, or to one of them.
 *
 *   order_give ─► user: all shards, ORDER_VISITS connections a turn ─┐
 *              └► client: the shard that its id names ───────────────┴► done, told the asker
 *
 * Idea     A user's sessions are among the connections that live on tokens (conn/sign_on.h): who
 *          has none has no user, and is found by its client's id alone.
 * Threads  The shard's; between shards by a survey (conn/survey.h).
 * Memory   A copy of the order for each shard, until it is carried out.
 * Bounds   Those of calls. A session that has session_channels_max is subscribed to no more. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"

enum {
    ORDER_VISITS = 16384,
};

struct nodes_heard;

enum order_kind {
    ORDER_SUBSCRIBE,
    ORDER_UNSUBSCRIBE,
    ORDER_DISCONNECT,
    ORDER_REFRESH,
    ORDER_REVOKE,
};

struct order {
    enum order_kind kind;
    struct span user;       /* empty: whoever has the client's id */
    struct span client;     /* empty: all of the user's */
    struct span channel;    /* to unsubscribe: empty, from all of them */
    struct span reason;     /* of a disconnect, in UTF-8 */
    struct span keep;       /* of a disconnect: a list of JSON with clients that stay; or empty */
    struct hub_since since; /* of a subscription */
    int64_t ends_s;         /* of a subscription or a refresh; 0: never */
    unsigned code;          /* of a disconnect */
    bool expired;           /* of a refresh: it ends now */
};

/* `err`: 0; -ENOSPC, -ENOBUFS or -ENOMEM where a session could not be subscribed, or a shard not be
 * asked. Somebody who is not there is no error. */
typedef void order_done(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                        int err);

/* Another node asks for it; it is answered when that is done. */
void order_heard(struct shard *shard, struct nodes_heard *heard);

/* Gives it, copied. Returns 0, and `done` follows; or -ENOMEM or -ENOBUFS. */
int order_give(struct shard *shard, const struct ticket *ticket, const struct order *order,
               order_done *done);
