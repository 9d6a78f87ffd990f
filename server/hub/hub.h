/* hub: channels, subscribers and history of one shard, and its lanes to the hubs of the others.
 *
 *   publish ─► home shard of the channel (hash of its name): gives offset, keeps history
 *                 │ once per shard that has a subscriber
 *                 ▼ lane (SPSC)
 *              hub of that shard: collects what a turn brings, then calls deliver for each of its
 *              subscribers
 *
 * Idea     A subscription belongs to the shard of its socket; the numbering of a channel belongs
 *          to its home shard. Every request goes to the home shard through a lane, also when it is
 *          this very shard (then through a queue of its own), so there is one order of events: a
 *          lane is FIFO, a subscriber that asked "since N" gets the replay first and live messages
 *          after it, without gap or duplicate.
 * Threads  A hub belongs to its shard's thread: every function but hub_set_* and hub_stats_read is
 *          called from there only. hub_ops are called on that thread, from inside hub_turn only,
 *          never from inside a request.
 * Memory   A subscription is 16 bytes in a pool that grows by pages and is never moved. Channels
 *          and history are on the heap. Messages are shared by reference; what a callback is given
 *          is borrowed until it returns.
 * Bounds   hub_config. Reaching one is an error of the request that would exceed it, and a counter:
 *            -ENOBUFS  as many requests as overflow_max wait for the home shard, or as many
 *                      messages wait there for a shard that has subscribers: try again later
 *            -ENOSPC   channels_max or subscriptions_max is reached
 *            -ENOMEM   memory is out
 *            -EBUSY    publishes_per_s of the channel's namespace is reached
 *          Answers and live messages are never dropped: where a lane is full they wait in order in
 *          an overflow list. It is bounded, since what would make it longer is refused, and answers
 *          are no more than the requests. Their places there are reserved before they are owed:
 *          without memory for them, requests stay in their lane. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ticket.h"
#include "hub/call.h"
#include "hub/remote.h"

struct hub;
struct hub_set;
struct hub_witness;
struct message;
struct namespaces;

enum {
    HUB_SHARDS_MAX = 248,
    HUB_HELPERS_MAX = 8,
    HUB_REPLY_MESSAGES_MAX = 1024, /* messages in one reply */
};

/* Connections of a shard: 28 bits of a subscription. */
#define HUB_CONNS_MAX ((1u << 28) - 1)

#define HUB_NONE UINT32_MAX /* no subscription */

struct hub_config {
    unsigned shards;
    unsigned helpers;                 /* participants behind the shards: hub/helper.h */
    unsigned lines;                   /* in which they publish; 0: they do not */
    uint64_t seed;                    /* of epochs and hashes; random in production */
    uint32_t channels_max;            /* per shard, at home and by subscription each */
    uint32_t subscriptions_max;       /* per shard */
    uint32_t history_messages_max;    /* per channel; 0 keeps none */
    uint64_t history_bytes_max;       /* per channel, with heads and names; one message is kept
                                         however large */
    int64_t history_age_ns;           /* a message is forgotten after this */
    uint64_t history_total_bytes_max; /* per shard, over all its channels: those that were not
                                         published to for longest give way */
    uint64_t reply_bytes_max;         /* payloads in one reply; one is given however large */
    int64_t linger_ns;                /* a channel without subscribers or history is kept this
                                         long, unless channels_max is reached */
    uint64_t last_bytes_max;          /* a larger message is not kept for hub_since.keeps_last */
    uint64_t last_total_bytes_max;    /* per shard, of those that are */
    uint32_t repeats_max;             /* keys of publishes that a shard remembers; 0: none */
    int64_t repeats_ns;               /* for so long */
    uint32_t lasting_max;             /* the same of keys that are `lasting` */
    int64_t lasting_ns;
    const struct namespaces *namespaces; /* what differs from this by namespace; NULL: nothing */
    uint32_t overflow_max;           /* requests, and messages, that wait for one shard; and calls
                                         that one participant waits for from another */
    unsigned turn_visits;            /* subscribers that a turn visits; 0: TURN_VISITS */
    struct hub_witness *witness;     /* hears what happens to channels; NULL: nobody does */
    const struct broker_ops *broker; /* of the first helper: the authority; NULL: these hubs are */
    uint64_t remote_bytes_max;       /* with a broker: of what a shard has asked it to publish, and
                                        of what waits to be given */
    unsigned lane_slots;             /* of each lane, a power of two; 0 derives it from the number
                                         of participants: see core/lane.h */
};

/* Where a reader wants to start. A position can be honoured when the history still holds all that
 * follows it. When it cannot, nothing old is given: the reply says so (recovered is false), carries
 * the present position, and the reader decides whether to ask from the start. */
enum hub_from {
    HUB_FROM_NOW,      /* only what comes from here on */
    HUB_FROM_START,    /* everything that the history still holds */
    HUB_FROM_POSITION, /* after `offset` of `epoch` */
    HUB_FROM_PAGE,     /* hub_read: a page of what is kept, see `limit` */
    HUB_FORGET,        /* hub_read: nothing, and what is kept is forgotten */
    HUB_FROM_LATEST,   /* the newest message, if it is still there, and what comes */
};

struct hub_since {
    enum hub_from from;
    uint64_t epoch;
    uint64_t offset;
    bool keeps_last; /* hub_subscribe: it wants to know what changes, see hub_took_last */
    bool hold; /* hub_subscribe: say where it begins; what there is to give comes by hub_resume */
    /* Of a page: at most `limit` messages, the oldest first, or in reverse the newest. Bounded:
     * only those behind `offset`, in reverse those before it; what of them is gone is passed over.
     * An epoch of 0 stands for any. The reply's offset is that of the newest message there is. */
    bool reverse;
    bool bounded;
    uint32_t limit;
};

/* The answer to hub_subscribe and hub_read. */
struct hub_reply {
    struct ticket ticket;
    uint32_t subscription; /* HUB_NONE for hub_read */
    int err;               /* 0, or -ENOSPC or -ENOMEM of the home shard: then the rest is empty,
                              and a subscription brings nothing: unsubscribe it */
    uint64_t epoch;
    uint64_t offset;     /* position behind the messages given */
    bool recovered;      /* a position was asked for, and everything after it is given, now or
                        (with `more`) with what follows; of a page: its epoch is this one */
    bool was_recovering; /* a position was asked for */
    bool more;           /* a bound of the reply was reached. hub_read: ask again with the new
                        position; hub_subscribe: nothing comes live yet, ask on with hub_resume */
    bool ended;          /* the channel is, and nothing comes behind this reply */
    bool resumed;        /* the answer to hub_resume. If it is not recovered the history has gone on
                        faster than it was asked for */
    struct message *const *messages; /* in order of offset */
    unsigned count;
};

/* The messages of one channel that one turn brought, in order: all of them publications, all of
 * them ephemeral, or all of them events: who joined and left. */
struct hub_batch {
    const char *name;
    size_t name_len;
    struct message *const *messages;
    unsigned count;
    uint32_t subscribers;   /* that it is given to, in this shard */
    struct message *before; /* the message before them; NULL: it is not known, or nobody who keeps
                               the last is subscribed */
};

struct hub_ops {
    /* Without `more` a subscription is live: after this call deliver brings everything behind
     * reply->offset. A replay that is longer than a part may be is read part by part, as fast as
     * its reader takes it: each with hub_resume, until there is no more. */
    void (*subscribed)(void *shard, const struct hub_reply *reply);
    void (*read)(void *shard, const struct hub_reply *reply);
    /* err: 0; 1: it had been published before, by its key or its version, and was not again; or
     * -ENOBUFS, -ENOSPC, -ENOMEM or -EBUSY when the home shard could not take it; or
     * -EPIPE: its channel has ended; or -EDQUOT: the witness is full. With a broker also those of
     * remote_ask. */
    void (*published)(void *shard, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset);
    /* Once before the deliveries of a batch. They may take several turns, in which nothing else is
     * delivered. */
    void (*batch)(void *shard, const struct hub_batch *batch);
    /* Once behind them: nobody is given this batch any more. */
    void (*batch_done)(void *shard);
    /* May unsubscribe this or any other subscription, and may call any request. */
    void (*deliver)(void *shard, uint32_t conn, uint32_t subscription,
                    const struct hub_batch *batch);
    /* The same for a batch of ephemeral messages, or of events. NULL: nobody is told. */
    void (*deliver_events)(void *shard, uint32_t conn, uint32_t subscription,
                           const struct hub_batch *batch);
    /* Something that it should have been given is gone: end it, so that its client comes back with
     * its position and is told. */
    void (*lost)(void *shard, uint32_t conn, uint32_t subscription, const struct hub_batch *batch);
    /* The hub of shard `target` sleeps and has something in its lanes: end its wait. */
    void (*wake)(void *shard, unsigned target);
};

/* Written by the hub's thread only; any thread may read them. */
struct hub_stats {
    uint64_t published;     /* messages numbered here */
    uint64_t delivered;     /* messages given by deliver, summed over subscribers */
    uint64_t subscriptions; /* live and pending now, and those taken back before their answer */
    uint64_t channels;      /* at home here now */
    uint64_t history_bytes; /* payloads, heads and names */
    uint64_t history_messages;
    uint64_t recovered;     /* positions that were honoured */
    uint64_t unrecoverable; /* positions that were not */
    uint64_t lane_full;     /* pushes that had to go through the overflow list */
    uint64_t refused;       /* requests refused with -ENOBUFS or -ENOSPC, here or for others */
    uint64_t repeated;      /* publishes whose key had been published with */
    uint64_t outdated;      /* publishes of a version that was not above the channel's */
    uint64_t repeats;       /* keys remembered now */
    uint64_t lasting_keys;  /* lasting ones */
    /* With a broker: */
    uint64_t remote_live;       /* messages that the engine brought, and that were next in order */
    uint64_t remote_duplicates; /* that were here already */
    uint64_t remote_joins;      /* channels joined, again ones too */
    uint64_t remote_gaps;       /* times that something was missing between two messages */
    uint64_t remote_filled;     /* messages that the engine's history then had */
    uint64_t remote_lost;       /* times that it had not: subscribers were ended */
};

/* What hubs and helpers share: the lanes, who is asleep, the helpers' bells. Made before and freed
 * after all of them. Returns NULL when memory or descriptors are out. */
struct hub_set *hub_set_create(const struct hub_config *config);
void hub_set_free(struct hub_set *set);

/* Call on the shard's thread. `shard` is handed to the ops, which are copied. Returns NULL when
 * memory is out. */
struct hub *hub_create(struct hub_set *set, unsigned index, const struct hub_ops *ops, void *shard);
/* Frees the hub and what it holds; NULL is allowed. Hubs may go in any order, each on its own
 * thread: what others still send to this one stays in the lanes until hub_set_free. */
void hub_free(struct hub *hub);

/* True when the name is 1 to CHANNEL_NAME_MAX bytes of the allowed alphabet. */
bool hub_name_valid(const char *name, size_t len);

/* Hash of a channel's name under the set's seed; decides the home shard. For message_create. */
uint64_t hub_hash(const struct hub_set *set, const char *name, size_t len);

/* Of the key of a publish, or the epoch of a version (struct message_terms); not 0. With a broker
 * it is the same on all nodes. */
uint64_t hub_key_hash(const struct hub_set *set, const char *key, size_t len);

/* Subscribes a connection. `chain` is the head of the connection's list of subscriptions (HUB_NONE
 * when empty) and is updated. Returns 0 and the subscription's number in `*ret`; ops->subscribed
 * follows, unless it is taken back before. Each call makes a subscription of its own, also to a
 * channel that the connection has already. The name is valid (hub_name_valid). */
int hub_subscribe(struct hub *hub, uint32_t *chain, const struct ticket *ticket, const char *name,
                  size_t len, const struct hub_since *since, uint32_t *ret);

/* Asks for what follows the position that the last reply told; it had `more`. ops->subscribed
 * follows. Not from inside that call for the same subscription. Returns likewise. */
int hub_resume(struct hub *hub, uint32_t subscription, const struct ticket *ticket, uint64_t epoch,
               uint64_t offset);

/* Takes one subscription off the connection's list, which is walked to find it. */
void hub_unsubscribe(struct hub *hub, uint32_t *chain, uint32_t subscription);

/* Takes all of a connection's subscriptions off. O(their number). */
void hub_unsubscribe_all(struct hub *hub, uint32_t *chain);

/* The next subscription of the same connection, or HUB_NONE. */
uint32_t hub_next_of(const struct hub *hub, uint32_t subscription);

/* How far a live subscription has been given its channel: up to and including this offset. Inside
 * deliver that includes the batch, inside the last call of subscribed the reply. Returns false
 * before that; and between turns while the channel's batch is being delivered: some have it, and
 * some will have it soon. */
bool hub_position(const struct hub *hub, uint32_t subscription, uint64_t *ret_epoch,
                  uint64_t *ret_offset);

/* The channels with subscribers here, one after the other: `at` from 0 on. Returns false behind the
 * last. Places may be empty: without subscribers. */
bool hub_channel_at(const struct hub *hub, uint32_t at, const char **ret_name, size_t *ret_len,
                    uint32_t *ret_subscribers);

/* Whether a subscription keeps_last. */
bool hub_keeps_last(const struct hub *hub, uint32_t subscription);

/* Inside deliver, of such a subscription: whether it has been given `before` of the batch. From now
 * on it is taken to have been given this batch. After a reply with messages it has the last. */
bool hub_took_last(struct hub *hub, uint32_t subscription);

/* The name of a subscription's channel; valid while it is subscribed. */
const char *hub_name_of(const struct hub *hub, uint32_t subscription, size_t *ret_len);

/* Asks for the messages since a position, without subscribing. ops->read follows. A channel that
 * does not exist comes to be, so that the position in the answer holds while it lingers. */
int hub_read(struct hub *hub, const struct ticket *ticket, const char *name, size_t len,
             const struct hub_since *since);

/* Publishes, taking over the caller's reference on success. With a ticket, ops->published follows.
 * The message is fresh from message_create, with hub_hash of its name. Behind one that is the last
 * its channel takes no other, until it is forgotten. */
int hub_publish(struct hub *hub, const struct ticket *ticket_or_null, struct message *message);

/* One turn: takes what the lanes brought, answers, delivers, forgets what is too old (a slice each
 * time), and hands over what others are to get. Bounded; returns true when there is more to do at
 * once. `now_ns` never goes back. What is too old is never given, but its memory goes in turns:
 * call it now and then, even when nothing happens. */
bool hub_turn(struct hub *hub, int64_t now_ns);

/* Before a wait: announces that this shard sleeps. Returns false when there is something to do:
 * take a turn instead. Another shard calls ops->wake for it, once, when it has something for this
 * one or has made room in a full lane. */
bool hub_sleep(struct hub *hub);
/* After the wait, for whatever reason it ended. */
void hub_awake(struct hub *hub);

void hub_stats_read(const struct hub *hub, struct hub_stats *stats);
