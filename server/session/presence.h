/* presence: who is subscribed to a channel, kept where the channel is numbered.
 *
 *   subscribed, and each heartbeat ─► presence_join ─► home shard: member, for a while more
 *   unsubscribed, closed           ─► presence_leave ─► home shard: gone
 *   asked ─► presence_ask ─► home shard: JSON, or two numbers ─► answered
 *
 * Idea     A member lasts for presence_age_ms of its namespace, or three heartbeats, from the last
 *          time that it was heard of: one whose leave is lost decays by itself. In channels of
 *          namespaces with `presence` or `join_leave`; with the latter, subscribers are told who
 *          comes and goes.
 * Threads  The shard's; between shards by calls (hub/call.h).
 * Memory   At home: presence_home.h says what; freed with the last of a channel. A call each for
 *          what travels.
 * Bounds   presence_total_bytes_max for all at home in a shard: who comes then is not present, and
 *          counted (presence_full), until others have left and it is heard again.
 *          hub_config.overflow_max calls: what is beyond is not told, and decays or comes with the
 *          next heartbeat. A list has queue_bytes_max: -E2BIG; in a cluster that of each node.
 * Cluster  A question goes on to the other nodes (broker/nodes.h): each knows its own clients, and
 *          one that has died is not asked, so it leaves no ghosts. */
#pragma once

#include "conn/shard.h"
#include "hub/call.h"
#include "wire/out.h"

struct nodes_heard;
struct session;

/* The connection's client is in the channel, from now on or still. */
void presence_join(struct shard *shard, const struct conn *conn, struct span channel);
void presence_leave(struct shard *shard, const struct conn *conn, struct span channel);

/* For all of its channels. */
void presence_refresh(struct shard *shard, const struct conn *conn);
void presence_leave_all(struct shard *shard, const struct conn *conn);

struct presence_answer {
    int err;                 /* 0, -E2BIG, -ENOMEM; -EBUSY: too many ask in a turn; -ENOBUFS
                                or -ENOTCONN: other nodes could not be asked */
    bool stats;              /* what was asked for */
    struct span list;        /* "id":{"client":…,"user":…,"conn_info":…},…; of stats in a
                                cluster the users' hashes */
    unsigned clients, users; /* of stats */
};

typedef void presence_answered(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                               const struct presence_answer *answer);

/* Asks who is there, or how many. Returns 0, -ENOBUFS or -ENOMEM; then nobody is answered. */
int presence_ask(struct shard *shard, const struct ticket *ticket, struct span channel, bool stats,
                 presence_answered *answered);

/* Another node asks; it is answered by and by. */
void presence_heard(struct shard *shard, struct nodes_heard *heard);

/* {"presence":{…}} or {"num_clients":…,"num_users":…}. */
size_t presence_result_room(const struct presence_answer *answer);
void presence_result_write(struct out *out, const struct presence_answer *answer);

/* Frees what is at home in this shard. */
void presence_end(struct shard *shard);
