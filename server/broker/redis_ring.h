/* redis_ring: several Redis that share the channels: each is at one of them. Internal to broker/.
 *
 *   0 ──┬─ a ──┬─ b ──┬─ a ──┬─ c ──┬─ … ── 2^64     points of each Redis, by its address
 *       └──────┘  a channel is at the Redis whose point is the next one
 *
 * Idea     Consistent hashing: all nodes that know the same addresses find the same Redis, and one
 *          that is added or taken away moves its share of the channels alone. One that dies affects
 *          its channels alone. What nodes ask each other, orders, revocations and tickets go over
 *          the first one named. Of a Redis Cluster its slots say where a channel is
 *          (redis_cluster.h), and the ring has no points.
 * Threads  As broker/redis.h; where a channel is, is asked on any.
 * Bounds   REDIS_SERVERS_MAX. */
#pragma once

#include <stdint.h>

#include "broker/redis.h"
#include "hub/remote.h"

enum {
    REDIS_SERVERS_MAX = ENGINE_FDS / 2,
    REDIS_POINTS = 160, /* of each: shares differ by some 8 % */
};

struct redis_point {
    uint64_t at;
    unsigned server;
};

struct redis_cluster;
struct redis_ring;

/* The channels of one of them. */
struct redis_part {
    struct remote_scope scope;
    const struct redis_ring *ring;
    unsigned server;
};

struct redis_ring {
    struct redis *servers[REDIS_SERVERS_MAX];
    struct redis_part parts[REDIS_SERVERS_MAX];
    struct redis_point points[REDIS_SERVERS_MAX * REDIS_POINTS]; /* in order */
    unsigned count, points_count;
    struct redis_cluster *cluster;   /* NULL: the points are asked */
    unsigned seeds;                  /* of a cluster: those that the settings name */
    struct engine_counters counters; /* sums; connected: all are */
};

extern const struct engine_ops redis_ring_engine;

/* Returns NULL when memory is out. */
struct redis_ring *redis_ring_create(void);
/* Adds a Redis, known by the text that the settings have for it; of its config scope and follows
 * are set here. Returns 0 or -ENOMEM. Nothing is asked before the last one is added. */
int redis_ring_add(struct redis_ring *ring, struct redis_config *config, const char *text);
void redis_ring_free(struct redis_ring *ring);

/* Which of them has the channel. */
unsigned redis_ring_find(const struct redis_ring *ring, const char *name, size_t len);
