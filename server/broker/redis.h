/* redis: one Redis of a broker (redis_ring.h): asks in, answers and news out. Internal to broker/.
 *
 *   asks ─► queue ─► commands link, pipelined ─► replies ─► answers
 *   joins ─► news link: SUBSCRIBE, and when that is confirmed: the history, as a command
 *   news link ─► what was published ─► remote_live
 *
 * Both links live and die together: a subscription without commands, or the other way round, would
 * leave a channel that believes to stand where it does not.
 *
 * Threads  The broker's, but for redis_create.
 * Memory   Asks that wait. hiredis holds what is not sent or not taken yet.
 * Bounds   redis_config.queue_max publishes that wait to be sent, SENT_MAX commands sent and not
 *          answered. Each ask is answered within twice the timeout, whatever Redis does. */
#pragma once

#include <poll.h>
#include <stdatomic.h>

#include "broker/engine.h"
#include "broker/redis_link.h"
#include "broker/redis_sentinel.h"
#include "core/message.h"
#include "hub/helper.h"
#include "hub/hub.h"
#include "hub/remote.h"

struct redis;

/* What one that is a node of a Redis Cluster says of others (redis_cluster.h). */
struct redis_peers {
    /* Something was refused for its place, or moved: the error, or nothing. Takes over the ask and
     * those that went with it; it may be NULL. */
    void (*turned)(void *context, struct redis *redis, struct remote_ask *ask, struct span error);
    /* The answer to CLUSTER SLOTS. */
    void (*slots)(void *context, struct redis *redis, const redisReply *reply);
    void *context;
};

struct redis_config {
    struct redis_address address;
    const struct redis_peers *peers;  /* NULL: it is no node of a cluster */
    struct redis_sentinels sentinels; /* if there are any, they say where it is */
    const struct remote_scope *scope; /* the channels that are here; NULL: all */
    bool follows;                     /* nodes ask each other over another one */
    char prefix[REDIS_PREFIX_MAX];
    uint32_t queue_max;
    int64_t ttl_ms;
    uint32_t keys_max;    /* of publishes, that a channel remembers */
    int64_t keys_ms;      /* for so long */
    uint32_t orders_max;  /* that are kept for other nodes */
    uint32_t lasting_max; /* the same of keys that are lasting */
    int64_t lasting_ms;
    size_t message_bytes_max;
    uint64_t seed;
};

/* Returns NULL when memory is out. */
struct redis *redis_create(const struct redis_config *config);
void redis_free(struct redis *redis);
/* On the broker's thread, once, before anything else. */
void redis_attach(struct redis *redis, struct helper *helper, struct hub_set *set, uint64_t node,
                  nodes_ear *ear);

/* Connects now. Returns 0, or negative errno and a sentence. */
int redis_connect(struct redis *redis, char *why, size_t why_size);

void redis_ask(struct redis *redis, struct remote_ask *ask);
/* Asks other nodes. */
void redis_question(struct redis *redis, struct nodes_ask *ask);
/* All channels of a glob begin anew (NODES_GAP); then those of the next one. */
void redis_sweep(struct redis *redis, struct nodes_ask *ask);
void redis_sweep_next(struct redis *redis, struct redis *next);
/* Gives all asks back: the helper goes. */
void redis_stop(struct redis *redis);
/* Everything that can be done now. */
void redis_turn(struct redis *redis, int64_t now_ns);
/* What to wait for: returns how many descriptors, and how long at most. */
unsigned redis_wait(struct redis *redis, struct pollfd ret[ENGINE_FDS], int64_t now_ns,
                    int *ret_timeout_ms);
const struct engine_counters *redis_counters(const struct redis *redis);
