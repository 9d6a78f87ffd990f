#include "broker/redis_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis_cluster.h"

enum {
    TEXT_MAX = 512,
};

/* ---- points ---- */

/* FNV-1a, and the end of splitmix64, which spreads what differs in the last byte. The same on all
 * nodes and in all versions: nobody gains by names that collide, as they would be at one Redis. */
static uint64_t hash(const char *bytes, size_t len)
{
    uint64_t z = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        z = (z ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int compare(const void *a, const void *b)
{
    const struct redis_point *one = a, *other = b;
    return one->at < other->at ? -1 : one->at > other->at;
}

static void points_add(struct redis_ring *ring, unsigned server, const char *text)
{
    char name[TEXT_MAX];
    for (unsigned i = 0; i < REDIS_POINTS; i++) {
        int len = snprintf(name, sizeof name, "%s#%u", text, i);
        ring->points[ring->points_count++] = (struct redis_point){
            hash(name, (size_t)len < sizeof name ? (size_t)len : sizeof name - 1), server};
    }
    qsort(ring->points, ring->points_count, sizeof *ring->points, compare);
}

unsigned redis_ring_find(const struct redis_ring *ring, const char *name, size_t len)
{
    if (ring->count == 1)
        return 0;
    const uint64_t at = hash(name, len);
    unsigned low = 0, high = ring->points_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ring->points[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return ring->points[low < ring->points_count ? low : 0].server;
}

static bool part_has(const struct remote_scope *scope, const char *name, size_t len)
{
    const struct redis_part *part = (const struct redis_part *)scope;
    if (part->ring->cluster)
        return redis_cluster_has(part->ring->cluster, part->server, name, len);
    return redis_ring_find(part->ring, name, len) == part->server;
}

/* ---- life ---- */

struct redis_ring *redis_ring_create(void)
{
    return calloc(1, sizeof(struct redis_ring));
}

int redis_ring_add(struct redis_ring *ring, struct redis_config *config, const char *text)
{
    const unsigned at = ring->count;
    assert(at < REDIS_SERVERS_MAX);
    ring->parts[at] = (struct redis_part){{part_has}, ring, at};
    config->scope = &ring->parts[at].scope;
    config->follows = at > 0;
    if (ring->cluster)
        redis_cluster_join(ring->cluster, config);
    ring->servers[at] = redis_create(config);
    if (!ring->servers[at])
        return -ENOMEM;
    ring->count++;
    if (at > 0)
        redis_sweep_next(ring->servers[at - 1], ring->servers[at]);
    if (!ring->cluster)
        points_add(ring, at, text);
    return 0;
}

void redis_ring_free(struct redis_ring *ring)
{
    if (!ring)
        return;
    for (unsigned i = 0; i < ring->count; i++)
        redis_free(ring->servers[i]);
    redis_cluster_free(ring->cluster);
    free(ring);
}

/* ---- for the broker ---- */

static int ring_connect(void *engine, char *why, size_t why_size)
{
    struct redis_ring *ring = engine;
    int err = 0;
    if (ring->cluster)
        return redis_cluster_connect(ring->cluster, why, why_size);
    for (unsigned i = 0; err == 0 && i < ring->count; i++)
        err = redis_connect(ring->servers[i], why, why_size);
    return err;
}

static void ring_attach(void *engine, struct helper *helper, struct hub_set *set, uint64_t node,
                        nodes_ear *ear)
{
    struct redis_ring *ring = engine;
    for (unsigned i = 0; i < ring->count; i++)
        redis_attach(ring->servers[i], helper, set, node, ear);
    if (ring->cluster)
        redis_cluster_attach(ring->cluster, helper, set, node, ear);
}

static void ring_ask(void *engine, struct remote_ask *ask)
{
    struct redis_ring *ring = engine;
    if (ring->cluster)
        redis_cluster_ask(ring->cluster, ask);
    else
        redis_ask(ring->servers[redis_ring_find(ring, ask->name, ask->name_len)], ask);
}

static void ring_question(void *engine, struct nodes_ask *ask)
{
    struct redis_ring *ring = engine;
    if (ask->kind == NODES_GAP)
        redis_sweep(ring->servers[0], ask);
    else if (ring->cluster)
        redis_cluster_question(ring->cluster, ask);
    else
        redis_question(ring->servers[0], ask);
}

static_assert(offsetof(struct engine_counters, connected) == 0, "the first of them is the gauge");

/* Counters are nothing but counters, in a row. */
static void sum(struct redis_ring *ring)
{
    _Atomic uint64_t *sums = &ring->counters.connected;
    for (size_t i = 0; i < sizeof ring->counters / sizeof *sums; i++) {
        uint64_t count = 0;
        for (unsigned server = 0; server < ring->count; server++) {
            const struct engine_counters *counters = redis_counters(ring->servers[server]);
            count += atomic_load_explicit(&counters->connected + i, memory_order_relaxed);
        }
        if (i == 0)
            count = ring->cluster ? redis_cluster_whole(ring->cluster) : count == ring->count;
        atomic_store_explicit(sums + i, count, memory_order_relaxed);
    }
}

static void ring_turn(void *engine, int64_t now_ns)
{
    struct redis_ring *ring = engine;
    for (unsigned i = 0; i < ring->count; i++)
        redis_turn(ring->servers[i], now_ns);
    if (ring->cluster)
        redis_cluster_turn(ring->cluster, now_ns);
    sum(ring);
}

static unsigned ring_wait(void *engine, struct pollfd ret[ENGINE_FDS], int64_t now_ns,
                          int *ret_timeout_ms)
{
    struct redis_ring *ring = engine;
    unsigned count = 0;
    for (unsigned i = 0; i < ring->count; i++) {
        int timeout_ms;
        count += redis_wait(ring->servers[i], ret + count, now_ns, &timeout_ms);
        if (i == 0 || timeout_ms < *ret_timeout_ms)
            *ret_timeout_ms = timeout_ms;
    }
    if (ring->cluster)
        *ret_timeout_ms = redis_cluster_wait(ring->cluster, *ret_timeout_ms);
    return count;
}

static void ring_stop(void *engine)
{
    struct redis_ring *ring = engine;
    for (unsigned i = 0; i < ring->count; i++)
        redis_stop(ring->servers[i]);
    if (ring->cluster)
        redis_cluster_stop(ring->cluster);
}

static void ring_free(void *engine)
{
    redis_ring_free(engine);
}

static const struct engine_counters *ring_counters(const void *engine)
{
    return &((const struct redis_ring *)engine)->counters;
}

const struct engine_ops redis_ring_engine = {
    .connect = ring_connect,
    .attach = ring_attach,
    .ask = ring_ask,
    .question = ring_question,
    .turn = ring_turn,
    .wait = ring_wait,
    .stop = ring_stop,
    .free = ring_free,
    .counters = ring_counters,
};
