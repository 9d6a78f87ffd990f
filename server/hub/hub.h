/* hub: channels, subscribers and history of one shard, and its lanes to the hubs of the others.
 *
 *   publish ─► home shard of the channel (hash of its name): gives offset, keeps history
 *                 │ once per shard that has a subscriber
 *                 ▼ lane (SPSC)
 *              hub of that shard: collects what a turn brings, then calls deliver for each of its subscribers
 *
 * Idea     A subscription belongs to the shard of its socket; the numbering of a channel belongs to its home shard.
 *          Every request goes to the home shard through a lane, also when it is this very shard (then through a
 *          queue of its own), so there is one order of events: a lane is FIFO, a subscriber that asked
 *          "since N" gets the replay first and live messages after it, without gap or duplicate.
 * Threads  A hub belongs to its shard's thread: every function but hub_set_* is called from there only.
 *          hub_ops are called on that thread, from inside hub_turn only, never from inside a request.
 * Memory   A subscription is 16 bytes in a pool that grows by pages and is never moved. Channels and history are on
 *          the heap. Messages are shared by reference; what a callback is given is borrowed until it returns.
 * Bounds   hub_config. Reaching one is an error of the request that would exceed it, and a counter:
 *          -ENOBUFS  the lane to the home shard is full, or its overflow is: try again later (overloaded)
 *          -ENOSPC   channels_max or subscriptions_max is reached
 *          -ENOMEM   memory is out
 *          Replies and live messages are never dropped: a full lane keeps them in order in an overflow list, and
 *          while that list is longer than overflow_max this hub accepts no publish. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub;
struct hub_set;
struct message;

enum {
    HUB_SHARDS_MAX = 256,
    HUB_REPLY_MESSAGES_MAX = 1024, /* messages in one reply; the rest is asked for with the new position */
};

#define HUB_NONE UINT32_MAX /* no subscription */

struct hub_config {
    unsigned shards;
    uint64_t seed;                 /* of epochs and hashes; random in production, fixed in the simulation */
    uint32_t channels_max;         /* per shard, at home and by subscription each                          */
    uint32_t subscriptions_max;    /* per shard                                                            */
    uint32_t history_messages_max; /* per channel                                                          */
    uint64_t history_bytes_max;    /* per channel, payloads; one message is kept however large             */
    int64_t history_age_ns;        /* a message is forgotten after this                                    */
    uint64_t history_total_bytes_max; /* per shard, over all its channels: the oldest channels give way     */
    uint64_t reply_bytes_max;      /* payloads in one reply; one message is given however large            */
    int64_t linger_ns;             /* a channel without subscribers or history is kept this long           */
    uint32_t overflow_max;
};

/* Where a reader wants to start. */
enum hub_from {
    HUB_FROM_NOW,      /* only what comes from here on           */
    HUB_FROM_START,    /* everything that the history still holds */
    HUB_FROM_POSITION, /* after `offset` of `epoch`               */
};

struct hub_since {
    enum hub_from from;
    uint64_t epoch;
    uint64_t offset;
};

/* Whom a reply is for. The hub carries it and does not look inside: the caller checks that it is still current. */
struct hub_asker {
    uint32_t conn;
    uint32_t generation;
    uint32_t tag;
};

/* The answer to hub_subscribe and hub_read. */
struct hub_reply {
    struct hub_asker asker;
    uint32_t subscription;            /* HUB_NONE for hub_read                                        */
    uint64_t epoch;
    uint64_t offset;                  /* position behind the messages given                           */
    bool recovered;                   /* a position was asked for, and everything after it is given,
                                         now or (with `more`) by asking again                         */
    bool more;                        /* hub_read only: a bound of the reply was reached              */
    struct message *const *messages;  /* in order of offset */
    unsigned count;
};

/* The messages of one channel that one turn brought, in order. */
struct hub_batch {
    const char *name;
    size_t name_len;
    struct message *const *messages;
    unsigned count;
};

struct hub_ops {
    /* A subscription is live: after this call deliver brings everything behind reply->offset. A replay that is longer than
     * a reply may be is given whole: subscribed is called once per part, `more` is set on all but the last, and live
     * messages come after the last. */
    void (*subscribed)(void *shard, const struct hub_reply *reply);
    void (*read)(void *shard, const struct hub_reply *reply);
    /* err: 0 or negative errno, when the home shard could not take it. */
    void (*published)(void *shard, const struct hub_asker *asker, int err, uint64_t epoch, uint64_t offset);
    /* Once before the deliveries of a batch. */
    void (*batch)(void *shard, const struct hub_batch *batch);
    /* May unsubscribe this or any other subscription, and may call any request. */
    void (*deliver)(void *shard, uint32_t conn, uint32_t subscription, const struct hub_batch *batch);
    /* The hub of shard `target` sleeps and has something in its lanes: end its wait. */
    void (*wake)(void *shard, unsigned target);
};

/* Written by the hub's thread only, with relaxed atomics: any thread may read them with hub_stats_read. */
struct hub_stats {
    uint64_t published;        /* messages numbered here                         */
    uint64_t delivered;        /* deliver calls times messages                    */
    uint64_t subscriptions;    /* live and pending now                            */
    uint64_t channels;         /* at home here now                                */
    uint64_t history_bytes;
    uint64_t history_messages;
    uint64_t recovered;        /* positions that were honoured                    */
    uint64_t unrecoverable;    /* positions that were not                         */
    uint64_t lane_full;        /* pushes that had to go through the overflow list */
    uint64_t refused;          /* requests refused with -ENOBUFS or -ENOSPC       */
};

/* What the hubs share: the lanes and who is asleep. Made before and freed after all of them.
 * Returns NULL when memory is out. */
struct hub_set *hub_set_create(const struct hub_config *config);
void hub_set_free(struct hub_set *set);

/* Call on the shard's thread. `shard` is handed to the ops. Returns NULL when memory is out. */
struct hub *hub_create(struct hub_set *set, unsigned index, const struct hub_ops *ops, void *shard);
/* Frees the hub. Its connections must have left or be gone with it; other hubs may not use its lanes any more. */
void hub_free(struct hub *hub);

/* True when the name is 1 to CHANNEL_NAME_MAX bytes of the allowed alphabet. */
bool hub_name_valid(const char *name, size_t len);

/* Hash of a channel's name under the set's seed; decides the home shard. For message_create. */
uint64_t hub_hash(const struct hub_set *set, const char *name, size_t len);

/* Subscribes a connection. `chain` is the head of the connection's list of subscriptions (HUB_NONE when empty) and is
 * updated. Returns 0 and the subscription's number in `*ret`; ops->subscribed follows, unless it is taken back before. */
int hub_subscribe(struct hub *hub, uint32_t *chain, const struct hub_asker *asker, const char *name, size_t len,
                  const struct hub_since *since, uint32_t *ret);

/* Takes one subscription off the connection's list. */
void hub_unsubscribe(struct hub *hub, uint32_t *chain, uint32_t subscription);

/* Takes all of a connection's subscriptions off. O(their number). */
void hub_unsubscribe_all(struct hub *hub, uint32_t *chain);

/* The next subscription of the same connection, or HUB_NONE. */
uint32_t hub_next_of(const struct hub *hub, uint32_t subscription);

/* Asks for the messages since a position, without subscribing. ops->read follows. */
int hub_read(struct hub *hub, const struct hub_asker *asker, const char *name, size_t len,
             const struct hub_since *since);

/* Publishes, taking over the caller's reference on success. With an asker, ops->published follows. */
int hub_publish(struct hub *hub, const struct hub_asker *asker_or_null, struct message *message);

/* One turn: takes what the lanes brought, answers, delivers, forgets what is too old (a slice each time), and
 * hands over what others are to get. Returns true when there is more to do at once. */
bool hub_turn(struct hub *hub, int64_t now_ns);

/* Before a wait: announces that this shard sleeps. Returns false when something has arrived meanwhile: do not wait. */
bool hub_sleep(struct hub *hub);
/* After the wait. */
void hub_awake(struct hub *hub);

void hub_stats_read(const struct hub *hub, struct hub_stats *stats);
