/* log_internal: what the shards' side of the log and its writer share.
 *
 * Threads  A source's `window` and `request` are its thread's; its counters are written by it and
 *          read anywhere.
 * Memory   The log's; `clients` are pages that take memory as slots come into use. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "conf/settings.h"
#include "conn/log.h"
#include "core/bell.h"
#include "core/lane.h"

/* What a second has brought so far. */
struct log_window {
    int64_t since_ns;
    uint64_t lines;
    bool closed[CLOSE_REASON_COUNT]; /* there was one of this reason */
    bool refused[REFUSAL_COUNT];
};

/* A shard's, and main's behind them. */
struct log_source {
    _Alignas(64) struct log_window window;
    struct in6_addr *clients; /* by slot */
    size_t clients_bytes;
    uint32_t request_slot; /* whose `request` is */
    uint32_t request_generation;
    struct log_request request;
    _Atomic uint64_t suppressed;
    _Atomic uint64_t lost;
};

/* What lies in a slot of a lane. */
union log_slot {
    struct log_record *record;
    unsigned char bytes[LANE_SLOT_BYTES];
};

struct log {
    enum log_format format;
    const char *file;       /* empty: stderr */
    uint64_t per_second;    /* of one source */
    unsigned sources;       /* shards, and main */
    struct lane_set *lanes; /* the writer is the participant behind the sources */
    struct bell bell;
    pthread_t thread;
    bool is_running;
    atomic_bool ending;
    atomic_bool reopening;
    int fd;
    _Atomic uint64_t written;
    _Atomic uint64_t unwritten;
    struct log_source source[];
};

/* Takes the record over. */
void log_push(struct log *log, unsigned source, struct log_record *record);
int64_t log_clock_ns(void);
