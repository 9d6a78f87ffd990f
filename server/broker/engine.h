/* engine: what a broker wants of whatever the nodes share: one table of functions each.
 *
 * Threads  The broker's, but for connect before it is started.
 * Memory   The engine's.
 * Bounds   ENGINE_FDS descriptors to wait for. */
#pragma once

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/nodes.h"

struct helper;
struct hub_set;
struct remote_ask;

enum {
    ENGINE_FDS = 32,
};

/* X(name, kind, help) */
#define ENGINE_COUNTERS(X)                                                                         \
    X(connected, "gauge", "1 while the engine is reached")                                         \
    X(connects, "counter", "Times that the engine was reached")                                    \
    X(connect_failures, "counter", "Times that it was not, or was lost")                           \
    X(queued, "gauge", "Asks that wait to be sent to the engine")                                  \
    X(sent, "gauge", "Commands that the engine has not answered yet")                              \
    X(timeouts, "counter", "Asks that the engine did not answer in broker_timeout_ms")             \
    X(queue_full, "counter", "Publishes refused as broker_queue_max was reached")                  \
    X(out_of_memory, "counter", "Publishes that the engine refused for want of memory")            \
    X(replaced, "counter", "Times that the engine was found to have other data than it had")       \
    X(errors, "counter", "Other errors that the engine answered")                                  \
    X(dropped, "counter", "Messages that a shard had no room for, and read from the history")      \
    X(unheard, "counter", "Questions of other nodes for which there was no room")                  \
    X(foreign, "counter", "Messages of the engine that are none of ours")

struct engine_counters {
#define ENGINE_COUNTER(name, kind, help) _Atomic uint64_t name;
    ENGINE_COUNTERS(ENGINE_COUNTER)
#undef ENGINE_COUNTER
};

struct engine_ops {
    /* Connects now. Returns 0, or negative errno and a sentence. */
    int (*connect)(void *engine, char *why, size_t why_size);
    /* On the broker's thread, once, before anything below. */
    void (*attach)(void *engine, struct helper *helper, struct hub_set *set, uint64_t node,
                   nodes_ear *ear);
    void (*ask)(void *engine, struct remote_ask *ask);
    /* Asks other nodes. */
    void (*question)(void *engine, struct nodes_ask *ask);
    /* Everything that can be done now. */
    void (*turn)(void *engine, int64_t now_ns);
    /* What to wait for: returns how many descriptors, and how long at most. */
    unsigned (*wait)(void *engine, struct pollfd ret[ENGINE_FDS], int64_t now_ns,
                     int *ret_timeout_ms);
    /* Gives all asks back: the helper goes. */
    void (*stop)(void *engine);
    void (*free)(void *engine);
    const struct engine_counters *(*counters)(const void *engine);
};
