/* redis_internal: the client of Redis from inside, shared by its files.
 *
 *   redis.c          links, deadlines
 *   redis_queue.c    asks that wait, and those that go together
 *   redis_command.c  what is asked, as commands
 *   redis_reply.c    what comes, taken for hostile
 *   redis_life.c     whose data it has
 *   redis_nodes.c    what nodes ask each other
 *   redis_sweep.c    channels of a glob that begin anew
 *   redis_cluster.c  what is at another node of a Redis Cluster
 *
 * Threads  The broker's. */
#pragma once

#include "broker/redis.h"

#include <assert.h>
#include <pthread.h>

#include "broker/encoding.h"

enum {
    SENT_MAX = 4096, /* a power of two */
    TOPIC_MAX = REDIS_PREFIX_MAX + 3 + 128,
    REDIS_NODE_TOPICS = 2,
    REDIS_ORDER_MAX = 48, /* of an order's place */
    REDIS_CURSOR_MAX = 24,
    APART_COMMANDS = 4,
    DOWNS_MAX = 3,          /* then another node of the cluster may have what this one had */
    APART_BYTES_MIN = 2048, /* below it costs more than it saves */
    BATCHES_MAX = 64,       /* open at a time; a power of two */
    BATCH_MESSAGES_MAX = 128,
    BATCH_BYTES_MAX = 256 << 10,
};

enum sent_kind {
    SENT_SCRIPT,
    SENT_APART,  /* EXEC of a script and a PUBLISH */
    SENT_QUEUED, /* what is before that: answered by "queued" */
    SENT_PING,
    SENT_LOOK,
    SENT_SUBSCRIBE, /* on the news link: confirmed, it becomes a join */
    SENT_QUESTION,
    SENT_SAY,    /* an answer to another node */
    SENT_ORDERS, /* the orders that this node missed */
    SENT_SLOTS,
    SENT_PROBE, /* whether it is of a cluster that works */
    SENT_SWEEP, /* a page of keys */
    SENT_SWEPT, /* one of them */
};

struct sent {
    enum sent_kind kind;
    struct remote_ask *ask; /* and those behind it by call.next, which went with it; NULL: they were
                               answered by their deadline */
    bool whole;             /* was sent with the text of its script */
    bool asking;            /* was sent where its slot is on its way to */
    bool unqueued;          /* memory was out for what is before it in its transaction */
    bool loose;             /* what is before it was done at once: there is no transaction */
    uint64_t id;            /* of a question; of a sweep its run */
    bool own;               /* is of a node's own topic */
};

/* First in, first out: as replies come. */
struct sent_ring {
    struct sent at[SENT_MAX];
    unsigned head, count;
};

struct ask_list {
    struct call *first, *last;
    unsigned count;
};

/* Publishes of one channel that go in one command: they came in one turn. */
struct batch {
    struct remote_ask *first, *last;
    unsigned count;
    size_t bytes;
};

/* Links that are being opened, on a thread of their own: each step may take its time, and those who
 * wait for the broker are answered meanwhile. The thread's until it is done. */
struct redis_dial {
    pthread_t thread;
    bool running; /* the broker's: to be joined */
    atomic_bool done;
    struct redis_address address;
    struct redis_link commands, news;
    struct redis_greeting greeting;
    int err;
};

/* One at a time. */
struct redis_sweep {
    struct nodes_ask *ask; /* NULL: there is none */
    struct redis *next;    /* is walked behind this one */
    uint64_t run;
    unsigned left; /* of a page: not answered */
    char cursor[REDIS_CURSOR_MAX];
};

struct redis {
    struct redis_config config;
    struct helper *helper;
    struct hub_set *set;
    struct redis_greeting greeting;
    struct redis_link commands, news;
    struct redis_dial dial;
    struct sent_ring commands_sent, news_sent;
    struct ask_list queue;
    unsigned publishes; /* in the queue */
    struct redis_sweep sweep;
    struct batch batches[BATCHES_MAX]; /* by the hash of the channel; empty between turns */
    bool more;                         /* replies are there that the turn did not take */
    struct encoded apart;              /* was heard, and its rest is next, on this topic */
    char apart_topic[TOPIC_MAX];
    size_t apart_topic_len; /* 0: nothing was */
    unsigned resets;        /* shards told, since something was lost */
    bool looks;             /* at the life of Redis: not answered yet */
    int64_t life_ns;        /* when it was last asked for */
    unsigned downs;         /* probes that failed, one behind the other */
    unsigned leaves;        /* that are not confirmed */
    bool behind
        [HUB_SHARDS_MAX]; /* had no room for news: are told to join all again, when they have */
    unsigned behind_count;
    /* redis_nodes.c */
    struct nodes_desk desk;
    bool asked_to_listen;
    int64_t listen_ns;               /* not before */
    unsigned listening;              /* of its topics: confirmed */
    char orders_at[REDIS_ORDER_MAX]; /* the last that was heard of */
    bool orders_known;               /* since it began */
    bool orders_read;                /* since the links were opened */
    bool orders_asked;               /* a page is under way */
    int64_t orders_ns;               /* not before, as the last was refused */
    int64_t looked_ns;               /* for questions that nobody answers */
    int64_t now_ns;
    int64_t retry_ns; /* when to connect again */
    unsigned failures;
    uint64_t random;
    struct engine_counters counters;
};

static inline void redis_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline bool redis_up(const struct redis *redis)
{
    return redis->commands.reader && redis->news.reader;
}

static inline struct sent *sent_first(struct sent_ring *ring)
{
    return ring->count > 0 ? &ring->at[ring->head] : NULL;
}

static inline struct sent *sent_last(struct sent_ring *ring)
{
    return ring->count > 0 ? &ring->at[(ring->head + ring->count - 1) & (SENT_MAX - 1)] : NULL;
}

static inline void sent_add(struct sent_ring *ring, struct sent sent)
{
    assert(ring->count < SENT_MAX);
    ring->at[(ring->head + ring->count++) & (SENT_MAX - 1)] = sent;
}

static inline struct sent sent_take(struct sent_ring *ring)
{
    struct sent sent = ring->at[ring->head];
    ring->head = (ring->head + 1) & (SENT_MAX - 1);
    ring->count--;
    return sent;
}

static inline bool redis_in_cluster(const struct redis *redis)
{
    return redis->config.peers != NULL;
}

uint64_t redis_random(struct redis *redis);
/* Tells shards that have not been told yet to join all that is here again. */
void redis_reset_shards(struct redis *redis);
/* Gives it, and those that went with it, back with that error, or 0. NULL is allowed. */
void redis_answer(struct redis *redis, struct remote_ask *ask, int err);

/* ---- redis_queue.c ---- */

void redis_queue_push(struct redis *redis, struct remote_ask *ask);
/* The first of those that wait, or NULL. */
struct remote_ask *redis_queue_pop(struct redis *redis);
/* Sends what waits, as far as so much may be under way. Publishes of a channel go together; the
 * order of what is asked of a channel stays. Returns 0, or -ENOMEM: the link is to be given up. */
int redis_queue_send(struct redis *redis);

/* ---- redis_command.c ---- */

/* Sends what an ask is, with those behind it. Returns 0, or -ENOBUFS when as many are under way, or
 * -ENOMEM. */
int redis_send_ask(struct redis *redis, struct remote_ask *ask);
/* Sends a script for an ask, by its hash or as a whole. */
int redis_send_script(struct redis *redis, struct remote_ask *ask, bool whole);
/* Likewise, with all of it through the script. */
int redis_send_through(struct redis *redis, struct remote_ask *ask);
/* Likewise where a slot is on its way to. */
int redis_send_asking(struct redis *redis, struct remote_ask *ask, bool whole);
/* Asks who has which slot; and for a key, which one that is cut off from its cluster refuses.
 * Return whether it could be sent. */
bool redis_ask_slots(struct redis *redis);
bool redis_probe(struct redis *redis);
int redis_send_ping(struct redis *redis, struct redis_link *link, struct sent_ring *sent);

/* ---- redis_reply.c ---- */

/* Return 0, or -EPROTO: the link is to be given up. */
int redis_take_command(struct redis *redis, const redisReply *reply);
int redis_take_news(struct redis *redis, const redisReply *reply);
/* Tells shards that were behind, and are no more, to join all again. */
void redis_catch_up(struct redis *redis);

/* ---- redis_life.c ---- */

/* Asks for it, where it is time to. Returns 0 or -ENOMEM. */
int redis_look(struct redis *redis);
void redis_looked(struct redis *redis, const struct sent *sent, const redisReply *reply);

/* ---- redis_sweep.c ---- */

void redis_sweep_answered(struct redis *redis, const struct sent *sent, const redisReply *reply);
/* The link is lost. */
void redis_sweep_lost(struct redis *redis);

/* ---- redis_nodes.c ---- */

void redis_nodes_say(void *engine, const struct nodes_heard *heard);
/* Subscribes to this node's topics, once for each pair of links. Returns 0 or -ENOMEM. */
int redis_nodes_listen(struct redis *redis);
/* One of them was refused, or is lost. */
void redis_nodes_unheard(struct redis *redis);
/* Whether it is one of theirs, of any node. */
bool redis_nodes_topic(const struct redis *redis, struct span topic);
/* One of them is confirmed. */
void redis_nodes_listening(struct redis *redis);
/* Redis has answered what is of that kind. */
void redis_nodes_answered(struct redis *redis, const struct sent *sent, const redisReply *reply);
/* What came on a topic. Returns false when it is none of those. */
bool redis_nodes_come(struct redis *redis, struct span topic, struct span body);
/* The links are lost; and what was not answered in time. */
void redis_nodes_lost(struct redis *redis);
void redis_nodes_expire(struct redis *redis);
