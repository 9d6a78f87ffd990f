#include "broker/redis_cluster.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis_internal.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    REFRESH_MS = 1000,
    HASTE_MS = 50, /* until the map is asked for again, when it is known to be old */
    AGAIN_MS = 10, /* until what waits for a slot is asked again */
};

static_assert(REDIS_SERVERS_MAX <= 8 * sizeof(unsigned), "a bit each");

#define NODES_TAG "!"

static unsigned owner_of(const struct redis_cluster *cluster, unsigned slot)
{
    return atomic_load_explicit(&cluster->owner[slot], memory_order_relaxed);
}

static unsigned slot_of(const struct remote_ask *ask)
{
    return redis_slot(ask->name, ask->name_len);
}

unsigned redis_cluster_find(const struct redis_cluster *cluster, const char *name, size_t len)
{
    return owner_of(cluster, redis_slot(name, len));
}

bool redis_cluster_has(const struct redis_cluster *cluster, unsigned server, const char *name,
                       size_t len)
{
    unsigned slot = redis_slot(name, len);
    uint64_t moved = atomic_load_explicit(&cluster->moved[server][slot / 64], memory_order_relaxed);
    return owner_of(cluster, slot) == server || (moved >> slot % 64 & 1) != 0;
}

bool redis_cluster_whole(const struct redis_cluster *cluster)
{
    bool whole = cluster->covered == REDIS_SLOTS;
    for (unsigned i = 0; whole && i < cluster->ring->count; i++)
        whole = !(cluster->owners >> i & 1) || redis_up(cluster->ring->servers[i]);
    return whole;
}

/* ---- what waits ---- */

static void wait_for_slot(struct redis_cluster *cluster, struct remote_ask *ask)
{
    unsigned slot = slot_of(ask);
    if (!cluster->first)
        cluster->again_ns = cluster->now_ns + AGAIN_MS * NS_PER_MS;
    cluster->held[slot / 64] |= UINT64_C(1) << slot % 64;
    cluster->publishes += ask->kind == REMOTE_PUBLISH;
    ask->call.next = NULL;
    if (cluster->first)
        cluster->last->call.next = &ask->call;
    else
        cluster->first = ask;
    cluster->last = ask;
}

/* To the Redis that has its slot, or it waits for one. */
static void place(struct redis_cluster *cluster, struct remote_ask *ask)
{
    unsigned slot = slot_of(ask), owner = owner_of(cluster, slot);
    struct redis *any = cluster->ring->servers[0];
    bool held = (cluster->held[slot / 64] >> slot % 64 & 1) != 0;
    if (ask->until_ns <= cluster->now_ns) {
        redis_count(&any->counters.timeouts);
        redis_answer(any, ask, -ENOTCONN);
    } else if (owner == REDIS_NOWHERE || held) {
        wait_for_slot(cluster, ask);
    } else {
        redis_queue_push(cluster->ring->servers[owner], ask);
    }
}

void redis_cluster_ask(struct redis_cluster *cluster, struct remote_ask *ask)
{
    unsigned slot = slot_of(ask), owner = owner_of(cluster, slot);
    bool held = (cluster->held[slot / 64] >> slot % 64 & 1) != 0;
    if (!held && owner != REDIS_NOWHERE) {
        redis_ask(cluster->ring->servers[owner], ask);
        return;
    }
    if (ask->kind == REMOTE_PUBLISH && cluster->publishes >= cluster->common.queue_max) {
        struct redis *any = cluster->ring->servers[0];
        redis_count(&any->counters.queue_full);
        redis_answer(any, ask, -ENOTCONN);
        return;
    }
    ask->until_ns = cluster->now_ns + cluster->common.address.timeout_ms * NS_PER_MS;
    wait_for_slot(cluster, ask);
}

static struct remote_ask *waiting_take(struct redis_cluster *cluster)
{
    struct remote_ask *all = cluster->first;
    cluster->first = cluster->last = NULL;
    cluster->publishes = 0;
    memset(cluster->held, 0, sizeof cluster->held);
    return all;
}

static void ask_again(struct redis_cluster *cluster)
{
    for (struct remote_ask *ask = waiting_take(cluster), *next; ask; ask = next) {
        next = (struct remote_ask *)ask->call.next;
        ask->call.next = NULL;
        place(cluster, ask);
    }
}

/* What waits in the queue of one that does not have its slot any more. */
static void queues_sort(struct redis_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->ring->count; i++) {
        struct redis *redis = cluster->ring->servers[i];
        for (unsigned count = redis->queue.count; count > 0; count--)
            place(cluster, redis_queue_pop(redis));
    }
}

/* ---- the map ---- */

static void refresh_soon(struct redis_cluster *cluster)
{
    int64_t soon = cluster->now_ns + HASTE_MS * NS_PER_MS;
    if (cluster->refresh_ns > soon)
        cluster->refresh_ns = soon;
}

/* One that is not reached, has no slots and is none of those that were set may be another. */
static unsigned unused(const struct redis_cluster *cluster)
{
    for (unsigned i = cluster->ring->seeds; i < cluster->ring->count; i++) {
        const struct redis *redis = cluster->ring->servers[i];
        if (!(cluster->owners >> i & 1) && !redis_up(redis) && !redis->dial.running &&
            redis->queue.count == 0)
            return i;
    }
    return REDIS_NOWHERE;
}

static unsigned server_add(struct redis_cluster *cluster, const struct redis_range *range)
{
    struct redis_ring *ring = cluster->ring;
    if (ring->count == REDIS_SERVERS_MAX) {
        unsigned at = unused(cluster);
        if (at == REDIS_NOWHERE) {
            redis_count(&ring->servers[0]->counters.errors);
            return at;
        }
        memcpy(ring->servers[at]->config.address.host, range->host, sizeof range->host);
        ring->servers[at]->config.address.port = range->port;
        return at;
    }
    struct redis_config config = cluster->common;
    unsigned at = ring->count;
    memcpy(config.address.host, range->host, sizeof range->host);
    config.address.port = range->port;
    config.seed += at;
    int err = redis_ring_add(ring, &config, "");
    explicit_bzero(config.address.password, sizeof config.address.password);
    if (err < 0)
        return REDIS_NOWHERE;
    if (cluster->helper)
        redis_attach(ring->servers[at], cluster->helper, cluster->set, cluster->node, cluster->ear);
    return at;
}

/* The Redis of an address; REDIS_NOWHERE when there are too many. */
static unsigned server_of(struct redis_cluster *cluster, const struct redis_range *range)
{
    for (unsigned i = 0; i < cluster->ring->count; i++) {
        const struct redis_address *address = &cluster->ring->servers[i]->config.address;
        if (address->port == range->port && strcmp(address->host, range->host) == 0)
            return i;
    }
    return server_add(cluster, range);
}

/* Where the old owner is not reached it says nothing to those who subscribe there. */
static bool owner_set(struct redis_cluster *cluster, unsigned slot, unsigned server)
{
    unsigned old = owner_of(cluster, slot);
    if (old == server)
        return false;
    atomic_store_explicit(&cluster->owner[slot], (uint8_t)server, memory_order_relaxed);
    if (old != REDIS_NOWHERE) {
        struct redis *redis = cluster->ring->servers[old];
        atomic_fetch_or_explicit(&cluster->moved[old][slot / 64], UINT64_C(1) << slot % 64,
                                 memory_order_relaxed);
        if (!redis_up(redis))
            redis->resets = 0;
    }
    return true;
}

/* Nodes ask each other over the one that has the slot of that. */
static void role_set(struct redis_cluster *cluster)
{
    unsigned to = owner_of(cluster, redis_slot(NODES_TAG, strlen(NODES_TAG)));
    if (to == cluster->role || to == REDIS_NOWHERE)
        return;
    struct redis *new = cluster->ring->servers[to];
    if (cluster->role != REDIS_NOWHERE) {
        struct redis *old = cluster->ring->servers[cluster->role];
        redis_nodes_lost(old);
        old->config.follows = true;
        memcpy(new->orders_at, old->orders_at, sizeof new->orders_at);
        new->orders_known = old->orders_known;
    }
    new->config.follows = false;
    cluster->role = to;
}

static void map_changed(struct redis_cluster *cluster)
{
    cluster->owners = cluster->covered = 0;
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        unsigned owner = owner_of(cluster, slot);
        if (owner == REDIS_NOWHERE)
            continue;
        cluster->owners |= 1u << owner;
        cluster->covered++;
    }
    role_set(cluster);
    queues_sort(cluster);
}

/* All of it or nothing. Returns 0 or -EPROTO. */
static int map_take(struct redis_cluster *cluster, const redisReply *reply, const char *asked)
{
    uint8_t next[REDIS_SLOTS];
    struct redis_range range;
    bool changed = false;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > REDIS_SLOTS)
        return -EPROTO;
    for (size_t i = 0; i < reply->elements; i++)
        if (redis_range_read(&range, reply->element[i], asked) < 0)
            return -EPROTO;
    memset(next, REDIS_NOWHERE, sizeof next);
    for (size_t i = 0; i < reply->elements; i++) {
        redis_range_read(&range, reply->element[i], asked);
        memset(next + range.first, (int)server_of(cluster, &range),
               (size_t)(range.last - range.first) + 1);
    }
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        changed |= owner_set(cluster, slot, next[slot]);
    if (changed)
        map_changed(cluster);
    return 0;
}

static void slots_come(void *context, struct redis *redis, const redisReply *reply)
{
    struct redis_cluster *cluster = context;
    if (reply->type != REDIS_REPLY_ERROR &&
        map_take(cluster, reply, redis->config.address.host) == 0)
        return;
    redis_count(reply->type == REDIS_REPLY_ERROR ? &redis->counters.errors
                                                 : &redis->counters.foreign);
    cluster->asked++;
}

/* The one that has told the last one goes on, as long as it is there. */
static void refresh(struct redis_cluster *cluster)
{
    const struct redis_ring *ring = cluster->ring;
    for (unsigned i = 0; cluster->now_ns >= cluster->probe_ns && i < ring->count; i++)
        if (cluster->owners >> i & 1)
            redis_probe(ring->servers[i]);
    if (cluster->now_ns >= cluster->probe_ns)
        cluster->probe_ns = cluster->now_ns + REFRESH_MS * NS_PER_MS;
    cluster->refresh_ns = cluster->now_ns + REFRESH_MS * NS_PER_MS;
    for (unsigned i = 0; i < ring->count; i++, cluster->asked++)
        if (redis_ask_slots(ring->servers[cluster->asked % ring->count]))
            return;
}

/* ---- what is elsewhere ---- */

/* With those that went with it. */
static void all_wait(struct redis_cluster *cluster, struct remote_ask *ask)
{
    for (struct remote_ask *next; ask; ask = next) {
        next = (struct remote_ask *)ask->call.next;
        wait_for_slot(cluster, ask);
    }
}

/* Returns false when it cannot be asked there now. */
static bool ask_there(struct redis_cluster *cluster, const struct redis_range *range,
                      struct remote_ask *ask)
{
    unsigned at = server_of(cluster, range);
    struct redis *redis = at == REDIS_NOWHERE ? NULL : cluster->ring->servers[at];
    return redis && redis_up(redis) && redis_send_asking(redis, ask, false) == 0;
}

static void turned(void *context, struct redis *redis, struct remote_ask *ask, struct span error)
{
    static const struct span down = SPAN_INIT("CLUSTERDOWN");
    struct redis_cluster *cluster = context;
    struct redis_range range;
    bool known = redis_redirect_read(&range, error, redis->config.address.host) == 0;
    bool moved = known && error.ptr[0] == 'M';
    if (error.len >= down.len && memcmp(error.ptr, down.ptr, down.len) == 0)
        cluster->asked++;
    refresh_soon(cluster);
    if (moved && owner_set(cluster, range.first, server_of(cluster, &range)))
        map_changed(cluster);
    if (ask && known && !moved && ask->kind != REMOTE_LEAVE && ask_there(cluster, &range, ask))
        return;
    all_wait(cluster, ask);
}

/* ---- life ---- */

int redis_cluster_create(struct redis_ring *ring, const struct redis_config *common)
{
    struct redis_cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return -ENOMEM;
    cluster->ring = ring;
    cluster->common = *common;
    cluster->peers = (struct redis_peers){turned, slots_come, cluster};
    memset((void *)cluster->owner, REDIS_NOWHERE, sizeof cluster->owner);
    cluster->role = REDIS_NOWHERE;
    ring->cluster = cluster;
    return 0;
}

void redis_cluster_free(struct redis_cluster *cluster)
{
    if (!cluster)
        return;
    explicit_bzero(&cluster->common, sizeof cluster->common);
    free(cluster);
}

void redis_cluster_join(struct redis_cluster *cluster, struct redis_config *config)
{
    config->address.cluster = true;
    config->follows = true;
    config->peers = &cluster->peers;
}

/* Asks the first that is there for the map, and waits for it. */
static int map_fetch(struct redis_cluster *cluster, char *why, size_t why_size)
{
    static const char *const words[] = {"CLUSTER", "SLOTS"};
    struct redis_ring *ring = cluster->ring;
    int err = -EHOSTUNREACH;
    unsigned at = 0;
    for (; err < 0 && at < ring->seeds; at++)
        err = redis_connect(ring->servers[at], why, why_size);
    if (err < 0)
        return err;
    struct redis *seed = ring->servers[at - 1];
    redisReply *reply = redis_link_ask(&seed->commands, words, 2, seed->config.address.timeout_ms);
    err = reply ? map_take(cluster, reply, seed->config.address.host) : -EHOSTUNREACH;
    if (err < 0 || cluster->covered < REDIS_SLOTS)
        snprintf(why, why_size, "redis = %s:%d: CLUSTER SLOTS: %s", seed->config.address.host,
                 seed->config.address.port,
                 !reply                             ? "no answer"
                 : reply->type == REDIS_REPLY_ERROR ? reply->str
                 : err < 0                          ? "an answer of another kind than Redis gives"
                                                    : "not all slots have an owner");
    freeReplyObject(reply);
    return err < 0 ? err : cluster->covered < REDIS_SLOTS ? -EHOSTUNREACH : 0;
}

int redis_cluster_connect(struct redis_cluster *cluster, char *why, size_t why_size)
{
    int err = map_fetch(cluster, why, why_size);
    for (unsigned i = 0; err == 0 && i < cluster->ring->count; i++)
        if (cluster->owners >> i & 1 && !redis_up(cluster->ring->servers[i]))
            err = redis_connect(cluster->ring->servers[i], why, why_size);
    return err;
}

void redis_cluster_attach(struct redis_cluster *cluster, struct helper *helper, struct hub_set *set,
                          uint64_t node, nodes_ear *ear)
{
    cluster->helper = helper;
    cluster->set = set;
    cluster->node = node;
    cluster->ear = ear;
}

void redis_cluster_question(struct redis_cluster *cluster, struct nodes_ask *ask)
{
    if (cluster->role != REDIS_NOWHERE) {
        redis_question(cluster->ring->servers[cluster->role], ask);
        return;
    }
    ask->call.err = -ENOTCONN;
    helper_answer(cluster->helper, &ask->call);
}

/* What subscribes at one that is lost may be elsewhere when that is back. */
static void look_after(struct redis_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->ring->count; i++) {
        struct redis *redis = cluster->ring->servers[i];
        bool up = redis_up(redis);
        if (!up && cluster->was_up[i]) {
            redis->resets = 0;
            refresh_soon(cluster);
        }
        if (!up)
            redis_reset_shards(redis);
        cluster->was_up[i] = up;
    }
}

void redis_cluster_turn(struct redis_cluster *cluster, int64_t now_ns)
{
    cluster->now_ns = now_ns;
    look_after(cluster);
    if (now_ns >= cluster->refresh_ns)
        refresh(cluster);
    if (cluster->first && now_ns >= cluster->again_ns)
        ask_again(cluster);
}

int redis_cluster_wait(const struct redis_cluster *cluster, int timeout_ms)
{
    return cluster->first && timeout_ms > AGAIN_MS ? AGAIN_MS : timeout_ms;
}

void redis_cluster_stop(struct redis_cluster *cluster)
{
    redis_answer(cluster->ring->servers[0], waiting_take(cluster), -ENOTCONN);
}
