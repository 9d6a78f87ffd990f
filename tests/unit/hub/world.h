/* world: a few hubs in one thread, and a record of what they call back.
 *
 * Threads  The test's. Memory  world_open to world_close; messages of a record are references.
 * Bounds   WORLD_SHARDS, WORLD_EVENTS: more is a failed assertion of the test. */
#pragma once

#include "core/message.h"
#include "hub/hub.h"
#include "hub/hub_internal.h"

enum {
    WORLD_SHARDS = 4,
    WORLD_EVENTS = 4096,
};

enum event_kind {
    EVENT_SUBSCRIBED,
    EVENT_READ,
    EVENT_PUBLISHED,
    EVENT_BATCH,
    EVENT_DELIVER,
    EVENT_JOINED, /* somebody, or left: a batch of events */
    EVENT_LOST,
    EVENT_WAKE,
};

struct event {
    enum event_kind kind;
    unsigned shard;
    unsigned target;       /* of a wake */
    uint32_t conn;         /* of the ticket, or delivered to */
    uint32_t subscription; /* subscribed, deliver */
    int err;
    uint64_t epoch, offset; /* of the reply, or of the last message */
    bool recovered, more;
    unsigned count;
    uint64_t first; /* offset of the first message */
};

struct world;

struct place {
    struct world *world;
    unsigned shard;
};

struct world {
    struct hub_config config;
    struct hub_set *set;
    struct hub *hubs[WORLD_SHARDS];
    struct place places[WORLD_SHARDS];
    int64_t now_ns;
    struct event events[WORLD_EVENTS];
    unsigned count;
    unsigned seen;    /* those before are checked */
    unsigned resumed; /* parts of replays among those before are asked for */
    bool mute;        /* record nothing */
    /* Called from deliver and subscribed, where set. */
    void (*meddle)(struct world *world, const struct event *event);
};

/* Generous bounds, one shard. */
struct hub_config world_config(void);
struct world *world_open(const struct hub_config *config);
void world_close(struct world *world);
/* Turns all hubs until none has more to do. */
void world_settle(struct world *world);
/* Lets time pass, then settles. */
void world_pass(struct world *world, int64_t delay_ns);

/* Subscribes connection `conn` and returns the number; asserts that it is accepted. */
uint32_t world_subscribe(struct world *world, unsigned shard, uint32_t *chain, uint32_t conn,
                         const char *name, struct hub_since since);
int world_read(struct world *world, unsigned shard, uint32_t conn, const char *name,
               struct hub_since since);
/* Publishes `bytes` of payload, with an answer for `conn`. */
int world_publish(struct world *world, unsigned shard, uint32_t conn, const char *name,
                  size_t bytes);
struct hub_stats world_stats(const struct world *world, unsigned shard);
/* A name whose home is that shard. */
const char *world_name(const struct world *world, unsigned home);

/* The next event of that kind that was not returned yet, skipping others; NULL when there is none.
 */
const struct event *world_next(struct world *world, enum event_kind kind);

static inline struct hub_since since_now(void)
{
    return (struct hub_since){.from = HUB_FROM_NOW};
}

static inline struct hub_since since_start(void)
{
    return (struct hub_since){.from = HUB_FROM_START};
}

static inline struct hub_since since_position(uint64_t epoch, uint64_t offset)
{
    return (struct hub_since){.from = HUB_FROM_POSITION, .epoch = epoch, .offset = offset};
}
