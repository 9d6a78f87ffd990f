/* nats_internal: the client of NATS from inside, shared by its files.
 *
 *   nats.c           asks, deadlines, the connection
 *   nats_channel.c   one channel: what is asked of NATS for it, one question at a time
 *   nats_history.c   what is read back, and heard
 *   nats_nodes.c     what nodes ask each other
 *   nats_stream.c    which stream it is
 *
 *   IDLE ─► LOOKING for the newest message ─► PUBLISHING, behind that ─► IDLE
 *                       ▲                           │ somebody else was faster
 *                       └───────────────────────────┘
 *                       └─► READING, message after message, for a join ─► IDLE
 *
 * Threads  The broker's. */
#pragma once

#include "broker/nats.h"

#include <assert.h>

#include "core/message.h"
#include "hub/helper.h"
#include "hub/hub.h"
#include "hub/remote.h"
#include "hub/rules.h"
#include "hub/table.h"

enum {
    BATCH_MAX = 64,           /* messages published together */
    BATCH_BYTES = 256 * 1024, /* or so many of them, but one in any case */
    NATS_PEERS_MAX = 256,     /* other nodes that are waited for */
    NATS_NODE_TOPICS = 3,
    CHANNELS_IDLE_MAX = 65536, /* that are neither joined nor asked for, and remembered */
};

enum channel_state {
    CHANNEL_IDLE,
    CHANNEL_LOOKING,
    CHANNEL_PUBLISHING,
    CHANNEL_READING,
};

struct ask_queue {
    struct call *first, *last;
    unsigned count;
};

struct channel_list {
    struct nats_channel *first, *last;
    unsigned count;
};

struct nats_channel {
    struct table_node node;
    struct channel_list *list; /* that it is in: always one of them */
    struct nats_channel *next, *previous;
    natsSubscription *subscription; /* NULL: it is not joined */
    enum channel_state state;
    bool known;     /* the following are those of its newest message, as far as we know */
    bool anew;      /* its epoch begins with what is published next */
    bool looked;    /* for the join that is first */
    bool forgotten; /* nothing is kept: it was removed */
    bool read_all;  /* READING: from the first that is kept */
    bool ended;     /* its last message is out */
    uint64_t last;  /* number of that message in the stream; 0: there is none */
    uint64_t epoch, offset;
    uint64_t token; /* of the question under way: an answer to another one comes too late */
    int64_t asked_ns;
    struct ask_queue asks; /* in order; publishes that are under way are in `sent` */
    struct ask_queue sent;
    /* What was heard last: the stream's number of an offset. */
    uint64_t heard, heard_epoch, heard_offset;
    struct message **read; /* READING: a ring of the newest */
    unsigned read_first, read_count, read_max;
    uint64_t read_bytes, read_bytes_max;
    uint64_t read_at; /* stream's number of the next */
    uint8_t name_len;
    char name[CHANNEL_NAME_MAX];
};

struct nats_peer {
    uint64_t node;
    int64_t since_ns, heard_ns;
};

struct nats_nodes {
    struct nodes_desk desk;
    natsSubscription *topics[NATS_NODE_TOPICS];
    struct nats_peer peers[NATS_PEERS_MAX];
    unsigned peers_count;
    int64_t beat_ns;    /* the next of this node's */
    int64_t ready_ns;   /* from then on the others are known */
    uint64_t orders_at; /* the stream's number of the last order that is known */
    bool orders_read;   /* since the link was opened */
    bool orders_known;  /* once */
};

struct nats {
    struct nats_config config;
    struct helper *helper;
    struct hub_set *set;
    struct nats_link link;
    struct table channels;
    struct channel_list busy;   /* those that are asked for */
    struct channel_list joined; /* those that are not, and are joined */
    struct channel_list idle;   /* neither, the longest first */
    unsigned asks, publishes;
    unsigned resets; /* shards told, since the link was opened */
    natsMsg *held;   /* of the news, of which a shard had no room for the rest */
    struct span held_items;
    int64_t now_ns, retry_ns, expire_ns;
    unsigned failures;
    uint64_t random, tokens;
    uint64_t stream; /* which one it is; 0: not known */
    struct nats_nodes nodes;
    struct engine_counters counters;
};

static inline void nats_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline void ask_push(struct ask_queue *queue, struct remote_ask *ask)
{
    ask->call.next = NULL;
    if (queue->first)
        queue->last->next = &ask->call;
    else
        queue->first = &ask->call;
    queue->last = &ask->call;
    queue->count++;
}

static inline struct remote_ask *ask_first(const struct ask_queue *queue)
{
    return (struct remote_ask *)queue->first;
}

static inline struct remote_ask *ask_pop(struct ask_queue *queue)
{
    struct remote_ask *ask = ask_first(queue);
    queue->first = ask->call.next;
    queue->count--;
    return ask;
}

/* ---- nats.c ---- */

uint64_t nats_random(struct nats *nats);
/* NULL: there is none. */
struct nats_channel *nats_channel_of(const struct nats *nats, struct span name);
/* Gives it back with that error, or 0. */
void nats_give(struct nats *nats, struct remote_ask *ask, int err);
/* A question for a channel, with a token of its own; `message` is freed. */
int nats_ask_for(struct nats *nats, struct nats_channel *channel, natsMsg *message,
                 enum channel_state state);
/* Where its answer is to come to. */
#define NATS_REPLY_MAX (64 + 20 + NATS_SUBJECT_MAX)
void nats_reply_to(char ret[NATS_REPLY_MAX], const struct nats *nats,
                   const struct nats_channel *channel, uint64_t token);

/* ---- nats_nodes.c ---- */

void nats_nodes_say(void *engine, const struct nodes_heard *heard);
void nats_question(struct nats *nats, struct nodes_ask *ask);
/* Returns false when it is for somebody else. */
bool nats_nodes_come(struct nats *nats, natsMsg *message);
/* A link is there; 0 or negative errno. It was lost. It is to be closed. */
int nats_nodes_open(struct nats *nats);
void nats_nodes_lost(struct nats *nats);
void nats_nodes_leave(struct nats *nats);
/* Beats, and what nobody answered. */
void nats_nodes_turn(struct nats *nats);

/* ---- nats_stream.c ---- */

void nats_stream_ask(struct nats *nats);
void nats_stream_come(struct nats *nats, struct span json);

/* ---- nats_channel.c ---- */

/* Asks what is next, unless a question is under way. */
void channel_pump(struct nats *nats, struct nats_channel *channel);
/* An answer has come to its question. */
void channel_answer(struct nats *nats, struct nats_channel *channel, struct span json);
/* The question has no answer, in time or since the link was lost. `again`: joins are put back. */
void channel_give_up(struct nats *nats, struct nats_channel *channel, bool again);

/* ---- nats_history.c ---- */

/* Begins to read what a join wants. */
void history_begin(struct nats *nats, struct nats_channel *channel, struct remote_ask *join);
/* Returns whether there may be more: 1, 0, or negative errno. */
int history_take(struct nats *nats, struct nats_channel *channel, const char *data, size_t len);
/* Gives the join what was read. */
void history_end(struct nats *nats, struct nats_channel *channel, struct remote_ask *join);
void history_forget(struct nats_channel *channel);
/* What is published comes. Returns false when a shard has no room. */
bool news_take(struct nats *nats);
