/* hub_internal: one hub from inside, shared by the files of this folder.
 *
 *   hub.c            the turn: take, answer, deliver, forget, hand over
 *   hub_set.c        what the hubs share; names and their hash
 *   hub_request.c    subscribe, read, publish: from the shard's transports to the home shard
 *   channel_home.c   a channel where it is numbered: offset, history, which shards want it
 *   home_table.c     the channels at home: found, made, forgotten
 *   channel_local.c  a channel where its subscribers are: this turn's batch, answers, deliveries
 *   local_table.c    the channels with subscribers here: found, made, forgotten
 *   table.c          channels by name
 *   subscription.c   the subscriptions, and the two lists that each is on
 *   exchange.c       items over lanes, and what waits where a lane is full
 *   calls.c          calls over lanes, likewise
 *   helper.c         a participant that is no shard
 *   gap.c            what was lost before it came: channels that begin anew
 *   remote.c         with a broker: what goes to it and comes from it
 *   remote_home.c    with a broker: a channel that is numbered elsewhere
 *   remote_leave.c   with a broker: one that nobody here wants any more
 *   remote_forget.c  with a broker: histories that are removed
 *
 * Threads  The hub's.
 * Memory   See each struct.
 * Bounds   The constants of a turn are here; the rest is in hub_config. */
#pragma once

#include "core/bell.h"
#include "core/lane.h"
#include "core/message.h"
#include "hub/calls.h"
#include "hub/helper.h"
#include "hub/history.h"
#include "hub/hub.h"
#include "hub/item.h"
#include "hub/repeats.h"
#include "hub/rules.h"
#include "hub/table.h"
#include "hub/witness.h"

#include <stdatomic.h>

/* What a turn does at most. The items that were taken when TURN_CREATED or TURN_REPLAYED is reached
 * are finished; the walk over a channel's subscribers that reaches TURN_VISITS goes on in the next
 * turn, before anything else. */
enum {
    TURN_ITEMS_PER_LANE = 1024, /* items of one lane, or its slots if they are fewer */
    TURN_ITEMS_OWN = 4096,      /* own requests */
    TURN_CREATED = 512,         /* channels that come to be here */
    TURN_SWEEP = 256,           /* channels and old messages forgotten, of each kind */
    TURN_VISITS = 2048,         /* subscribers visited; one counts for more with large messages */
    VISIT_BYTES = 4096,         /* for so many of a batch it counts once more */
    TURN_REPLAYED = 65536,      /* messages given in answers */
    TURN_REPLAYED_BYTES = 512 << 10, /* and their payloads */
    PART_BYTES = 256 << 10,          /* of a part of a replay, and no more than of a reply */
    TURN_REMOTE = 1024,              /* messages of a broker that are given */
    TAKE_ITEMS = 32,                 /* copied out of a lane at a time */
};

enum {
    CONN_BITS = 28,
    CONN_NONE = HUB_CONNS_MAX, /* a dead subscription's */
};
static_assert(CONN_NONE == (1 << CONN_BITS) - 1, "fills the bit field");

/* ---- subscription.c ---- */

/*   channel_local.first ─► subscription ─► subscription ─► …   next_in_channel: as they came
 *   the caller's chain  ─► subscription ─► subscription ─► …   next_of_conn: one connection's
 *
 * A subscription that is taken back stays in its channel's list as a dead one (conn == CONN_NONE)
 * until a third of the list is dead; then the list is walked once and they are freed. So no list
 * needs a way back, and each removal costs O(1) in the long run. One that is taken back before it
 * was answered is freed after the answer: its number is still on its way. */
struct subscription {
    uint32_t conn : CONN_BITS;
    uint32_t answered : 1;
    uint32_t live : 1; /* answered, and not with an error */
    uint32_t keeps_last : 1;
    uint32_t took_last : 1; /* of those: it has been given the channel's last message */
    uint32_t channel;       /* index in local.channels */
    uint32_t next_in_channel;
    uint32_t next_of_conn; /* also the free list */
};
static_assert(sizeof(struct subscription) == 16, "four to a cache line");

struct subscription_pool {
    struct subscription *at;
    uint32_t capacity;
    uint32_t unused; /* from here on never used */
    uint32_t free;   /* the list of those given back */
    uint32_t held;   /* in use and not dead */
};

struct channel_local;

int subscription_pool_init(struct subscription_pool *pool, uint32_t subscriptions_max);
void subscription_pool_done(struct subscription_pool *pool);
/* Appends a pending one to the channel and puts it at the head of the chain. Returns -ENOSPC when
 * all are in use. */
int subscription_add(struct hub *hub, struct channel_local *channel, uint32_t conn, bool keeps_last,
                     uint32_t *chain, uint32_t *ret);
/* The answer was handled. */
void subscription_answered(struct hub *hub, uint32_t index, bool live);
/* Frees the dead ones of a channel, once they are a third of its list. */
void subscription_compact(struct hub *hub, struct channel_local *channel);
static inline bool subscription_dead(const struct subscription *subscription)
{
    return subscription->conn == CONN_NONE;
}

/* ---- channel_home.c, home_table.c ---- */

enum home_place {
    HOME_NOWHERE, /* subscribed to, no history */
    HOME_KEPT,    /* has history */
    HOME_IDLE,    /* neither */
};

/* Of the newest message of a channel that has one. */
struct channel_version {
    uint64_t version;
    uint64_t epoch; /* a hash; 0: none */
};

struct channel_home {
    struct table_node node;
    uint64_t epoch;
    uint64_t offset; /* of the newest message */
    struct history history;
    struct lane_bits shards; /* that subscribed */
    struct channel_home *prev, *next;
    struct channel_version *version; /* NULL: none of its messages had one */
    int64_t idle_until_ns;
    int64_t publishes_ns; /* with publishes_per_s: until when its share is used up */
    uint8_t rules;        /* index of its namespace's */
    uint8_t place;        /* enum home_place: which list prev and next are of */
    bool ended;           /* its last message has been numbered */
    uint8_t name_len;
    char name[];
};

struct home_table {
    struct table table;
    struct channel_home *kept[HUB_RULES_MAX]; /* by rules: the one that was longest not published
                                  to first: the order in which their newest messages get too
                                  old, too */
    struct channel_home *idle;                /* idle for longest first */
    uint32_t count;
    uint64_t history_bytes;
    uint64_t history_messages;
    uint64_t random;
    struct repeats repeats;
    struct repeats lasting;
};

void home_handle(struct hub *hub, unsigned from, const struct item *item);
/* Answers a request from what is here; its place was reserved. */
void home_answer(struct hub *hub, unsigned from, struct request *request, bool subscribe);
/* Whether a message more can be handed to each shard that wants it: 0, -ENOBUFS or -ENOMEM. Of a
 * home's own lists nothing is changed. */
int home_room(struct hub *hub, const struct channel_home *channel);
/* Takes a share of what may be published to the channel in a second. Returns 0 or -EBUSY. */
int home_rate(struct hub *hub, struct channel_home *channel);
/* Whether a message may be told by what changed, as its publisher and the namespace want it. */
bool home_delta(const struct hub *hub, const struct channel_home *channel,
                const struct message *message);
/* Hands a numbered message to each shard that wants it. */
void home_send(struct hub *hub, struct channel_home *channel, struct message *message);
/* Of one that a helper publishes: whether its line is broken. */
bool home_line_broken(const struct hub *hub, unsigned from, const struct ticket *ticket);
/* Breaks it, if this is an error after which it may be published later. */
void home_line_break(struct hub *hub, unsigned from, const struct ticket *ticket, int err);
/* Answers a publish. */
void home_published(struct hub *hub, unsigned from, const struct ticket *ticket, int err,
                    uint64_t epoch, uint64_t offset);
/* For one that begins, or begins anew. */
uint64_t home_epoch(struct hub *hub);
/* Forgets a channel. */
void home_free(struct hub *hub, struct channel_home *channel);

/* Finds or makes. Returns 0, -ENOSPC or -ENOMEM. */
int home_open(struct hub *hub, const char *name, size_t len, uint64_t hash,
              struct channel_home **ret);
/* Puts the channel where it belongs after its subscribers or its history changed, or somebody asked
 * for it. */
/* Tells the witness, if there is one that wants it. */
void home_tell(struct hub *hub, enum hub_event event, const struct channel_home *channel,
               struct message *message);
void home_settle(struct hub *hub, struct channel_home *channel);
/* Keeps a numbered message within all bounds; history_reserve has been called. */
void home_keep(struct hub *hub, struct channel_home *channel, struct message *message);
/* Forgets the messages of the channel that are too old. */
void home_expire(struct hub *hub, struct channel_home *channel);
/* Forgets all of the channel's. */
void home_forget(struct hub *hub, struct channel_home *channel);
/* All but the newest, or all that are not behind an offset. */
void home_forget_but(struct hub *hub, struct channel_home *channel, uint64_t newest);
void home_forget_until(struct hub *hub, struct channel_home *channel, uint64_t offset);
/* A slice of the forgetting. Returns true when there is more to forget. */
bool home_sweep(struct hub *hub);
void home_done(struct hub *hub);

/* ---- gap.c ---- */

/* A slice of the walks. */
void gap_turn(struct hub *hub);
void gap_done(struct hub *hub);

/* ---- remote.c, remote_home.c, remote_leave.c ---- */

enum remote_phase {
    REMOTE_COLD,    /* not joined */
    REMOTE_WANTED,  /* to be joined as soon as that may be asked */
    REMOTE_JOINING, /* asked */
    REMOTE_WARM,    /* stands where the authority does, but for what is on its way */
};

/* What waits at a channel; there is none where nothing does. */
struct remote_work {
    struct remote_news *first, *last; /* that were published, in order */
    struct request *waiting_first, *waiting_last;
    uint32_t waiting;
    unsigned fill_at;        /* the first of `fill` that is to be given */
    struct remote_ask *fill; /* the answer to a join, whose messages subscribers miss */
    struct message *gap;     /* ahead of all that: they miss some that nobody has */
    int64_t retry_ns;        /* the next join, after one that failed */
};

/* A channel at home that is numbered elsewhere. Those that are numbered here are a channel_home
 * alone. */
struct home_remote {
    struct remote_work *work;
    struct home_remote *prev, *next; /* unwanted ones, unwanted for longest first */
    struct home_remote *next_busy;
    int64_t until_ns; /* of an unwanted one */
    uint8_t phase;    /* enum remote_phase */
    bool busy;        /* is on one of those lists: something is to be done, or it is to be joined */
    bool unwanted;    /* is on that one: nobody here subscribes, and nothing waits */
    bool again;       /* was reset while it was being joined */
    struct channel_home home; /* last, as its name is behind it */
};
static_assert(offsetof(struct home_remote, home) <= 64, "what a broker costs a channel");

struct remote_list {
    struct home_remote *first, *last;
};

struct remote_table {
    struct call *done_first, *done_last; /* asks that came back */
    struct remote_list busy, wanted;
    struct home_remote *unwanted;
    unsigned joins;      /* asked and not answered */
    unsigned reset_part; /* of the table: from here on all of that scope is to be joined again */
    const struct remote_scope *reset_scope; /* NULL: everything */
    unsigned left;                          /* messages that this turn may still give */
    bool more;                              /* the turn had not enough room */
    int64_t rest_ns;        /* until then nothing is joined: memory was out for one that failed */
    bool closed;            /* nothing can be asked any more */
    uint64_t publish_bytes; /* of publishes that are not answered */
    uint64_t waiting_bytes; /* of messages that wait at channels */
};

static inline struct home_remote *remote_of(struct channel_home *channel)
{
    return (struct home_remote *)(void *)((char *)channel - offsetof(struct home_remote, home));
}

struct channel_home *remote_alloc(size_t name_len);
/* Leaves the channel, and gives it back. */
void remote_free(struct hub *hub, struct channel_home *channel);
/* Whether it may not be forgotten. */
bool remote_holds(struct channel_home *channel);
/* After home_settle: whether anybody wants it. */
void remote_settle(struct hub *hub, struct channel_home *channel);
void remote_publish(struct hub *hub, unsigned from, const struct item *item);
void remote_request(struct hub *hub, unsigned from, struct request *request, bool subscribe);
/* What came from the broker, as far as the turn has room for it. */
void remote_turn(struct hub *hub);
/* Leaves channels that nobody wants. Returns how many are left of those that may go. */
unsigned remote_sweep(struct hub *hub, unsigned left);
void remote_done(struct hub *hub);

/* Between these files. */
/* What was published, on its way from the broker; then in the list of its channel. */
struct remote_news {
    struct call call;
    struct hub_set *set;
    unsigned shard;
    struct message *message;          /* NULL: a reset */
    const struct remote_scope *scope; /* of what */
    bool seen;                        /* the channel has been asked for since it came */
};
struct remote_ask *remote_ask_create(struct hub *hub, enum remote_kind kind,
                                     const struct hub_rules *rules, const char *name, size_t len,
                                     uint64_t hash);
void remote_ask_free(struct remote_ask *ask);
const struct hub_rules *remote_rules(const struct hub *hub, const char *name, size_t len);
int remote_ask_send(struct hub *hub, struct remote_ask *ask);
void remote_news_free(struct remote_news *news);
void remote_come(struct hub *hub, struct remote_news *news);
/* Somebody asks for it: it is kept for a while longer. */
void remote_want(struct hub *hub, struct home_remote *remote);
void remote_leave(struct hub *hub, const char *name, size_t len, uint64_t hash);
void remote_work_free(struct hub *hub, struct remote_work *work);
void remote_reset_begin(struct hub *hub, const struct remote_scope *scope);
void remote_step_busy(struct hub *hub);
void remote_joined(struct hub *hub, struct remote_ask *ask);
/* What the authority keeps of a channel is to be removed. Takes the request over. */
void remote_forget(struct hub *hub, unsigned from, struct request *request);
/* It has been. Returns false when the answer has no place yet. */
bool remote_forgotten(struct hub *hub, struct remote_ask *ask);
/* Another node said so, or this one: what is kept here up to there goes. */
void remote_forget_until(struct hub *hub, struct channel_home *channel,
                         const struct message *message);
/* Answers a request with an error. */
void remote_refuse(struct hub *hub, unsigned from, struct request *request, bool subscribe,
                   int err);
/* What was published here has its place: it may be the next, before it comes back. */
void remote_echo(struct hub *hub, struct remote_ask *ask);

/* ---- channel_local.c, local_table.c ---- */

/* What is given together is of one class. */
enum message_class {
    CLASS_PUBLICATIONS,
    CLASS_EPHEMERAL,
    CLASS_EVENTS,
    CLASS_GAP,
};

static inline enum message_class message_class(const struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_PUBLICATION:
        return CLASS_PUBLICATIONS;
    case MESSAGE_EPHEMERAL:
        return CLASS_EPHEMERAL;
    case MESSAGE_JOIN:
    case MESSAGE_LEAVE:
        return CLASS_EVENTS;
    case MESSAGE_GAP:
    case MESSAGE_FORGET:
        break;
    }
    return CLASS_GAP;
}

struct channel_local {
    struct table_node node;
    struct channel_home *home; /* the handle that ITEM_UNSUBSCRIBE names; NULL before the first
                                  answer. It is the home shard's: nothing here looks into it. */
    struct channel_local *prev, *next; /* idle ones */
    struct channel_local *next_dirty;
    int64_t idle_until_ns;
    uint64_t epoch, offset; /* of what all live subscribers have been given */
    struct message *newest; /* the message there, or NULL */
    uint32_t keepers;       /* those held who keep it */
    uint32_t index;
    uint32_t first, last; /* subscriptions */
    uint32_t held;        /* not dead, or not answered */
    uint32_t live;
    uint32_t dead;
    uint32_t batch_first, batch_last, batch_count; /* messages of this turn */
    uint64_t batch_bytes;                          /* their payloads */
    bool dirty;
    uint8_t batch_class; /* enum message_class: what they are */
    uint8_t home_shard;
    uint8_t name_len;
    char name[];
};

/* A message of this turn, in the list of its channel. */
struct batch_node {
    struct message *message;
    uint32_t next;
};

/* The nodes of a turn are in the order in which the messages came; a batch is a list in them. */
struct local_table {
    struct table table;
    struct channel_local **channels; /* by index */
    uint32_t *free;                  /* indices given back, a stack */
    uint32_t free_count;
    uint32_t unused;                                /* from here on never used */
    struct channel_local *idle;                     /* idle for longest first */
    struct channel_local *dirty_first, *dirty_last; /* with messages of this turn */
    struct channel_local *walking; /* its list is being walked: nothing on it may be freed */
    struct hub_batch walk_batch;   /* what its subscribers are given; in the scratch */
    uint32_t walk_at;              /* who is next */
    uint64_t walk_cost;            /* of a visit */
    bool events;                   /* or gaps are among the messages of this turn */
    struct item_queue deferred;    /* behind an answer that waits for a walk, in order */
    uint32_t standing;             /* being answered for good: stands where its channel does */
    uint64_t last_bytes;           /* of the channels' last messages that are kept */
    struct batch_node *nodes;      /* as many as a turn takes items, at most */
    struct message **scratch;      /* one batch, side by side */
    uint32_t nodes_count;
    uint32_t nodes_max;
};

int local_init(struct hub *hub);
void local_done(struct hub *hub);
/* Finds or makes. Returns 0, -ENOSPC or -ENOMEM. */
int local_open(struct hub *hub, const char *name, size_t len, uint64_t hash,
               struct channel_local **ret);
struct channel_local *local_find(const struct hub *hub, const char *name, size_t len,
                                 uint64_t hash);
/* The last subscriber went. */
void local_idle(struct hub *hub, struct channel_local *channel);
/* The first subscriber came. */
void local_busy(struct hub *hub, struct channel_local *channel);
bool local_sweep(struct hub *hub);

/* What was given last, if anybody here keeps that; the one before is let go of. */
void local_last_set(struct hub *hub, struct channel_local *channel, struct message *message);
/* Takes what is kept out: the reference becomes the caller's. NULL: nothing is. */
struct message *local_last_take(struct hub *hub, struct channel_local *channel);

/* Takes over the reference. */
void local_live(struct hub *hub, struct message *message);
void local_handle(struct hub *hub, const struct item *item);
/* Returns true when all is delivered, and nothing waits for that. */
bool local_deliver(struct hub *hub);
/* Whether an answer waits for a walk to end: what is taken now would wait behind it. */
bool local_waits(const struct hub *hub);

/* ---- exchange.c ---- */

/* What a full lane had no room for. Requests and live messages have a bound each, and answers count
 * for neither: else the answers to those who are refused and ask again would keep it full. */
struct overflow {
    struct item_queue items;
    uint32_t requests;
    uint32_t live;
};

struct exchange {
    struct item_queue own;       /* requests to this very shard */
    struct overflow *overflow;   /* per participant; a helper gets calls only */
    struct lane_bits overflowed; /* shards with something in overflow */
    struct lane_bits unflushed;  /* participants with something pushed */
    struct lane_bits ready;      /* participants with something to take */
    struct calls calls;
};

int exchange_init(struct hub *hub);
void exchange_done(struct hub *hub);
/* -ENOBUFS when a request to that shard would be refused, else 0. */
int exchange_room(const struct hub *hub, unsigned target);
/* Makes sure that one thing more may wait for that shard, and behind it the answers to all that is
 * taken from its lane at a time: whoever adds anything but an answer asks before. Returns 0 or
 * -ENOMEM. */
int exchange_reserve(struct hub *hub, unsigned target);
/* The same for a live message: also -ENOBUFS when those have reached their bound. */
int exchange_live_room(struct hub *hub, unsigned target);
/* Sends a request. Returns 0, -ENOBUFS or -ENOMEM; then the item stays with the caller. */
int exchange_request(struct hub *hub, unsigned target, const struct item *item);
/* Sends what may not be dropped: an answer, a live message, an unsubscription. To lose one silently
 * would break what every reader is promised, so its place was reserved before it was owed. For this
 * very shard it is handled at once. */
void exchange_send(struct hub *hub, unsigned target, const struct item *item);
/* Moves what waits into lanes that have room. */
void exchange_retry(struct hub *hub);
/* Lets the others see what was pushed, and wakes those who sleep. */
void exchange_flush(struct hub *hub);
/* Takes up to `max` items of one lane. */
unsigned exchange_take(struct hub *hub, unsigned source, struct item *items, unsigned max);

/* ---- hub.c ---- */

/* Where a helper is called, whether it is there or not. */
struct helper_door {
    struct bell bell;
    atomic_bool stopping;
};

struct hub_set {
    struct hub_config config;
    struct lane_set *lanes;
    unsigned slots; /* of a lane */
    struct hub_rules rules[HUB_RULES_MAX];
    unsigned rules_count;
    struct helper_door doors[HUB_HELPERS_MAX];
    struct hub *hubs[HUB_SHARDS_MAX];            /* each read and written on its own thread */
    _Atomic uint64_t news_bytes[HUB_SHARDS_MAX]; /* from the broker, on their way to each */
    _Atomic uint32_t *broken; /* by line of a helper: the run of which nothing more is published;
                                 written by whoever refuses something of it */
};

/* The line of what a helper publishes: hub/helper.h. Whatever is published to one channel is looked
 * at by one thread, in order, so nothing behind what broke a line is missed. */
static inline bool line_is_broken(const struct hub_set *set, const struct ticket *ticket)
{
    return atomic_load_explicit(&set->broken[ticket->tag], memory_order_relaxed) ==
           ticket->generation;
}

static inline void line_break(struct hub_set *set, const struct ticket *ticket)
{
    atomic_store_explicit(&set->broken[ticket->tag], ticket->generation, memory_order_relaxed);
}

/* Shards first, helpers behind them. */
static inline unsigned hub_participants(const struct hub_config *config)
{
    return config->shards + config->helpers;
}

/* Rings for a helper. Returns false for a shard, which has no bell here. */
bool hub_set_ring(struct hub_set *set, unsigned participant);

/* hub_stats, written by one thread and read by any. */
struct hub_counters {
    _Atomic uint64_t published;
    _Atomic uint64_t delivered;
    _Atomic uint64_t subscriptions;
    _Atomic uint64_t channels;
    _Atomic uint64_t history_bytes;
    _Atomic uint64_t history_messages;
    _Atomic uint64_t recovered;
    _Atomic uint64_t unrecoverable;
    _Atomic uint64_t lane_full;
    _Atomic uint64_t refused;
    _Atomic uint64_t remote_live;
    _Atomic uint64_t remote_duplicates;
    _Atomic uint64_t remote_joins;
    _Atomic uint64_t remote_gaps;
    _Atomic uint64_t remote_filled;
    _Atomic uint64_t remote_lost;
    _Atomic uint64_t repeated;
    _Atomic uint64_t outdated;
    _Atomic uint64_t repeats;
    _Atomic uint64_t lasting_keys;
};

struct hub {
    struct hub_set *set;
    const struct hub_config *config;
    struct hub_ops ops;
    void *shard;
    unsigned index;
    unsigned items_per_lane; /* taken in one turn */
    unsigned visits_max;     /* of a turn; see TURN_VISITS */
    bool in_turn;
    int64_t now_ns;    /* of the turn, or of the last one */
    uint64_t visits;   /* of this turn; see TURN_VISITS */
    uint32_t created;  /* channels, of this turn; see TURN_CREATED */
    uint32_t replayed; /* of this turn; see TURN_REPLAYED */
    uint64_t replayed_bytes;

    struct exchange exchange;
    struct local_table local;
    struct subscription_pool subscriptions;
    struct home_table home;
    struct remote_table remote;
    struct gap *gaps; /* that are walked, one after the other */
    struct hub_counters counters;
};

static inline const struct hub_rules *home_rules(const struct hub *hub,
                                                 const struct channel_home *channel)
{
    return &hub->set->rules[channel->rules];
}

void hub_handle(struct hub *hub, unsigned from, const struct item *item);

/* Only this thread writes, so no read-modify-write is needed. */
static inline void counter_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline void counter_add(_Atomic uint64_t *counter, uint64_t value)
{
    counter_set(counter, atomic_load_explicit(counter, memory_order_relaxed) + value);
}

static inline int64_t time_after(int64_t now_ns, int64_t delay_ns)
{
    int64_t sum;
    return __builtin_add_overflow(now_ns, delay_ns, &sum) ? INT64_MAX : sum;
}
