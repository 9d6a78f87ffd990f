/* redis_cluster: a Redis Cluster in the place of the points of a ring (redis_ring.h): each channel
 * is at the master of its slot. Internal to broker/.
 *
 *   seeds ─► CLUSTER SLOTS ─► owner[16384] ─► one of the ring's Redis
 *                ▲                               │ MOVED: its slot has another owner, ask there
 *                └── each second, and when ──────┤ ASK: this once
 *                    something was moved         │ TRYAGAIN, CLUSTERDOWN: again in a moment
 *                                                └ sunsubscribe: the channel is joined again
 *
 * Idea     What is refused for its place was not done, so it may be asked again, behind what waits
 *          for the same slot, until its time is over. A slot that is moved takes its channels'
 *          keys with it; the subscription has to follow, and the join behind it finds out whether
 *          something was missed.
 * Threads  The broker's, but for `has` of a scope, which asks owner and moved on any.
 * Memory   Asks that wait for a slot; a Redis for each address that was ever told, at most as many
 *          as a ring has.
 * Bounds   REDIS_SERVERS_MAX masters and seeds together; queue_max publishes that wait. */
#pragma once

#include <stdatomic.h>

#include "broker/redis_ring.h"
#include "broker/redis_slots.h"

enum {
    REDIS_NOWHERE = 0xff, /* nobody has the slot */
    SLOT_WORDS = REDIS_SLOTS / 64,
};

struct redis_cluster {
    struct redis_ring *ring;
    struct redis_config common; /* of one that is found */
    struct redis_peers peers;
    _Atomic uint8_t owner[REDIS_SLOTS];
    _Atomic uint64_t moved[REDIS_SERVERS_MAX][SLOT_WORDS]; /* from there, at any time */
    uint64_t held[SLOT_WORDS];                             /* something of the slot waits */
    bool was_up[REDIS_SERVERS_MAX];
    unsigned owners;                 /* a bit for each Redis that has a slot */
    unsigned covered;                /* slots that have an owner */
    unsigned role;                   /* over whom nodes ask each other */
    unsigned asked;                  /* whom for the map */
    struct remote_ask *first, *last; /* wait for a slot */
    unsigned publishes;              /* of them */
    int64_t again_ns, refresh_ns, probe_ns, now_ns;
    struct helper *helper; /* as redis_attach */
    struct hub_set *set;
    uint64_t node;
    nodes_ear *ear;
};

/* Makes the ring's channels be at the masters of a cluster; before its seeds are added by
 * redis_ring_add. Returns 0 or -ENOMEM. */
int redis_cluster_create(struct redis_ring *ring, const struct redis_config *common);
void redis_cluster_free(struct redis_cluster *cluster);

/* For redis_ring_add: what a member's config says of the cluster. */
void redis_cluster_join(struct redis_cluster *cluster, struct redis_config *config);

/* As the functions of engine_ops, and redis_ring_find. */
int redis_cluster_connect(struct redis_cluster *cluster, char *why, size_t why_size);
void redis_cluster_attach(struct redis_cluster *cluster, struct helper *helper, struct hub_set *set,
                          uint64_t node, nodes_ear *ear);
void redis_cluster_ask(struct redis_cluster *cluster, struct remote_ask *ask);
void redis_cluster_question(struct redis_cluster *cluster, struct nodes_ask *ask);
void redis_cluster_turn(struct redis_cluster *cluster, int64_t now_ns);
/* How long at most, of that. */
int redis_cluster_wait(const struct redis_cluster *cluster, int timeout_ms);
void redis_cluster_stop(struct redis_cluster *cluster);
unsigned redis_cluster_find(const struct redis_cluster *cluster, const char *name, size_t len);
/* Whether a channel is at that Redis, or was. */
bool redis_cluster_has(const struct redis_cluster *cluster, unsigned server, const char *name,
                       size_t len);
/* Whether all that has slots is reached, and all slots are had. */
bool redis_cluster_whole(const struct redis_cluster *cluster);
