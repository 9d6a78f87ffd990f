/* broker: the thread of a node that speaks to the engine which the nodes of a cluster share.
 *
 *   shards ◄── lanes ──► broker's thread ◄── sockets ──► Redis
 *
 * Idea     A helper (hub/helper.h), the first one of the set. It turns asks of the home shards
 *          (hub/remote.h) into commands, and what the engine says into answers and news. Shards
 *          never wait for it.
 * Threads  broker_create, broker_start and broker_end on one thread; broker_stats_read on any.
 * Memory   Its own; messages are the hub's.
 * Bounds   broker_queue_max, broker_bytes_max, broker_timeout_ms: conf/settings.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/nodes.h"
#include "hub/remote.h"

struct broker;
struct hub_set;
struct settings;

/* What the thread needs of those above it. */
struct broker_waker {
    void (*wake)(void *context, unsigned shard);
    void *context;
    nodes_ear *ear; /* what other nodes ask this one */
    uint64_t node;  /* its number among them */
};

struct broker_row {
    const char *name, *kind, *help;
    uint64_t value;
};

enum {
    BROKER_ROWS_MAX = 16,
};

/* For hub_config.broker, with one helper. */
extern const struct broker_ops broker_ops;

/* Reads the settings, and connects if redis_required says so. Returns 0 and NULL where no engine is
 * set; or negative errno and a sentence that names the address. */
int broker_create(struct broker **ret, const struct settings *settings, uint64_t seed, char *why,
                  size_t why_size);
/* Whether it could be created: the engine is not asked. Returns 0, or negative errno and a
 * sentence. */
int broker_check(const struct settings *settings, char *why, size_t why_size);
/* Starts the thread; the shards are there. Returns 0 or negative errno. */
int broker_start(struct broker *broker, struct hub_set *set, const struct broker_waker *waker);
/* Stops the thread and waits for it: behind the end of the shards, and before they are freed. NULL
 * is allowed, and so is one that was not started. */
void broker_end(struct broker *broker);
void broker_free(struct broker *broker);

/* For /metrics. Returns how many. */
unsigned broker_stats_read(const struct broker *broker, struct broker_row ret[BROKER_ROWS_MAX]);
/* On its thread: asks other nodes. */
void broker_question(struct broker *broker, struct nodes_ask *ask);
/* What was connected to, for people. */
const char *broker_where(const struct broker *broker);
