/* remote_world: several nodes of one thread, and a fake engine that they share.
 *
 *   shards of a node ── asks ──► its link: taken, done, answered at times of its own
 *                    ◄─ news ─── a queue for each channel: delayed, doubled, lost with the link
 *
 * The ledger: each reader is given offset after offset of an epoch, and what each offset had when
 * it was published; a position that it brings to another node counts there; and where that is
 * broken it has been told. In an exact world the engine forgets nothing, so nobody is told.
 *
 * Threads  one. */
#pragma once

#include "hub/hub.h"
#include "hub/hub_internal.h"

enum {
    RW_NODES = 3,
    RW_SHARDS = 2,
    RW_CHANNELS = 3,
    RW_READERS = 6, /* of a shard: its connections, each with one subscription */
    RW_PUBLISHES = 3000,
    RW_EPOCHS = 64,
    RW_QUEUE = 4096,
    RW_ASKS = 2048,
};

struct rw_channel {
    uint64_t epoch; /* 1, 2, 3 … */
    uint64_t offset;
    uint64_t gone;              /* offsets up to this are in no history */
    uint32_t log[RW_PUBLISHES]; /* the tags of all that was published, of all epochs */
    uint64_t logged;
    uint64_t before[RW_EPOCHS]; /* by epoch: what had been logged when it began */
};

enum rw_state {
    RW_FREE,
    RW_PENDING,
    RW_PARTED, /* more of its replay is to be asked for */
    RW_LIVE,
};

struct rw_reader {
    enum rw_state state;
    unsigned channel;
    uint32_t chain, subscription;
    struct hub_since since;
    bool stands; /* has a position */
    uint64_t epoch, offset;
};

struct rw_node;

struct rw_shard {
    struct rw_node *node;
    unsigned index;
    struct hub *hub;
    struct rw_reader readers[RW_READERS];
};

struct rw_link_ask {
    struct remote_ask *ask;
    bool done; /* the engine has; the answer is under way */
    int err;
};

struct rw_node {
    struct rw_world *world;
    struct hub_set *set;
    struct helper *helper;
    struct rw_shard shards[RW_SHARDS];
    bool up;
    unsigned resets; /* shards that are still to be told, as bits */
    bool subscribed[RW_CHANNELS];
    struct message *queue[RW_CHANNELS][RW_QUEUE];
    unsigned queued[RW_CHANNELS];
    struct rw_link_ask asks[RW_ASKS];
    unsigned asks_count;
};

struct rw_coverage {
    uint64_t delivered, recovered, unrecoverable, lost, gaps, filled, duplicates, refused, unknown,
        removed;
};

struct rw_world {
    bool exact;
    bool trims; /* the engine lets go of history without a word */
    uint64_t random;
    int64_t now_ns;
    struct hub_config config;
    struct rw_node nodes[RW_NODES];
    struct rw_channel channels[RW_CHANNELS];
    uint32_t tags;     /* published so far */
    uint32_t answered; /* of them */
    struct rw_coverage *coverage;
};

struct rw_world *rw_open(uint64_t seed, struct rw_coverage *coverage);
void rw_step(struct rw_world *world);
/* Until nothing is under way; then everybody has everything. */
void rw_rest(struct rw_world *world);
void rw_close(struct rw_world *world);

/* remote_engine.c */
uint32_t rw_random(struct rw_world *world, uint32_t below);
size_t rw_name(unsigned channel, char ret[4]);
unsigned rw_channel_of(const char *name);
extern const struct broker_ops rw_broker;
void rw_link_step(struct rw_node *node);
void rw_link_break(struct rw_node *node);
void rw_link_free(struct rw_node *node);
/* The engine forgets: it begins a new life of a channel, or lets go of some history. */
void rw_forget(struct rw_world *world);
