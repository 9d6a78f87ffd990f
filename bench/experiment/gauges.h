/* gauges: looks at a server's memory and its closes ten times a second while a turn goes on; keeps
 * the most, and when what was closed.
 *
 * Idea     What waits for readers grows and is gone again within a turn. The thread that has the
 *          clients cannot ask without being late, so another one does.
 * Threads  gauges_start makes one; all functions here are called from the same other thread.
 * Memory   gauges_start to gauges_stop. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "experiment/capacity_counters.h"
#include "measure/process.h"

struct gauges;

/* When a counter of the server grew, since the start. */
struct gauges_growth {
    uint64_t count;
    int64_t first_ns, last_ns;
};

struct gauges_seen {
    uint64_t queue_bytes;                       /* ringside_queue_bytes, the most */
    uint64_t queue_last;                        /* and the last */
    uint64_t rss_bytes;                         /* how much it grew at most since the start */
    uint64_t tcp_bytes;                         /* likewise, of all TCP sockets of the machine */
    struct gauges_growth growth[COUNTER_COUNT]; /* of the server's own counters */
};

/* `process` stays the caller's. */
struct gauges *gauges_start(const struct sockaddr_in *address, const struct process *process);
void gauges_stop(struct gauges *gauges, struct gauges_seen *ret);
