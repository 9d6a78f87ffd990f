/* capacity_counters: what the kernel and the server count by themselves, read before and after a
 * step: the growth is the evidence.
 *
 * Idea     A bound that was reached has counted itself somewhere. All of those are read, whether or
 *          not they are suspected, so that a verdict can also say what did not happen.
 * Scope    /proc/net/netstat, snmp and sockstat are of this network namespace, softnet_stat and
 *          tcp_mem of the machine: other programs' trouble is in them too.
 * Threads  any.
 * Memory   in place. A counter that could not be read is not known, and never 0. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "measure/http_get.h"

enum counter_source {
    SOURCE_NETSTAT,  /* TcpExt of /proc/net/netstat */
    SOURCE_SNMP,     /* Tcp of /proc/net/snmp */
    SOURCE_SOFTNET,  /* second column of /proc/net/softnet_stat, over all CPUs */
    SOURCE_CLOSED,   /* /metrics: ringside_connections_closed_total, and of streams, by reason */
    SOURCE_REFUSED,  /* /metrics: ringside_requests_refused_total, by reason */
    SOURCE_ACCEPTED, /* /metrics: ringside_NAME_total */
};

/* X(NAME, source, the name that its source gives it) */
#define CAPACITY_COUNTERS(X)                                                                       \
    X(LISTEN_OVERFLOWS, NETSTAT, "ListenOverflows")                                                \
    X(LISTEN_DROPS, NETSTAT, "ListenDrops")                                                        \
    X(REQUEST_QUEUE_DROPS, NETSTAT, "TCPReqQFullDrop")                                             \
    X(REQUEST_QUEUE_COOKIES, NETSTAT, "TCPReqQFullDoCookies")                                      \
    X(MEMORY_PRESSURES, NETSTAT, "TCPMemoryPressures")                                             \
    X(ABORTS_ON_MEMORY, NETSTAT, "TCPAbortOnMemory")                                               \
    X(ABORTS_ON_TIMEOUT, NETSTAT, "TCPAbortOnTimeout")                                             \
    X(TIMEOUTS, NETSTAT, "TCPTimeouts")                                                            \
    X(PRUNES, NETSTAT, "PruneCalled")                                                              \
    X(RECEIVE_QUEUE_DROPS, NETSTAT, "TCPRcvQDrop")                                                 \
    X(RETRANSMITS, SNMP, "RetransSegs")                                                            \
    X(ATTEMPT_FAILS, SNMP, "AttemptFails")                                                         \
    X(RESETS, SNMP, "EstabResets")                                                                 \
    X(SOFTNET_DROPS, SOFTNET, "dropped")                                                           \
    X(ACCEPT_REFUSED, ACCEPTED, "accept_refused")                                                  \
    X(ACCEPTED, ACCEPTED, "accepted")                                                              \
    X(SYSTEM_CALLS, ACCEPTED, "system_calls")                                                      \
    X(REFUSED_TABLE_FULL, REFUSED, "table_full")                                                   \
    X(REFUSED_OVERLOADED, REFUSED, "overloaded")                                                   \
    X(REFUSED_ADMISSION, REFUSED, "admission")                                                     \
    X(ADMITTED, ACCEPTED, "admitted")                                                              \
    X(RECOVERED, ACCEPTED, "recovered")                                                            \
    X(UNRECOVERABLE, ACCEPTED, "unrecoverable")                                                    \
    X(MESSAGES_DROPPED, ACCEPTED, "messages_dropped")                                              \
    X(CLOSED_TABLE_FULL, CLOSED, "table_full")                                                     \
    X(CLOSED_OVERLOADED, CLOSED, "overloaded")                                                     \
    X(CLOSED_HEAD_TIMEOUT, CLOSED, "head_timeout")                                                 \
    X(CLOSED_HEARTBEAT, CLOSED, "heartbeat")                                                       \
    X(CLOSED_SLOW_READER, CLOSED, "slow_reader")                                                   \
    X(CLOSED_STALLED, CLOSED, "stalled")                                                           \
    X(CLOSED_QUEUE_TOTAL, CLOSED, "queue_total")                                                   \
    X(CLOSED_PEER_RESET, CLOSED, "peer_reset")

#define CAPACITY_COUNTER_ID(NAME, source, name) COUNTER_##NAME,
enum capacity_counter {
    CAPACITY_COUNTERS(CAPACITY_COUNTER_ID) COUNTER_COUNT,
};

enum {
    COUNTER_NAME_MAX = 64,
};

struct capacity_counters {
    uint64_t values[COUNTER_COUNT];
    bool known[COUNTER_COUNT];
};

/* Reads all of them; `get` is where /metrics is, or NULL. */
void counters_read(struct capacity_counters *ret, struct http_get *get);

/* The same from text, as the files have it. The text is cut to pieces. */
void counters_take_pairs(struct capacity_counters *counters, enum counter_source source,
                         const char *protocol, char *text);
void counters_take_metrics(struct capacity_counters *counters, const char *text);

/* What grew between the two; known where both are. */
void counters_growth(struct capacity_counters *ret, const struct capacity_counters *before,
                     const struct capacity_counters *after);

/* As it is shown: "ListenOverflows", "server:closed_stalled". Returns `text`. */
const char *counter_name(enum capacity_counter counter, char text[COUNTER_NAME_MAX]);

/* An object name → count of those that are known. */
json_t *counters_json(const struct capacity_counters *counters);
