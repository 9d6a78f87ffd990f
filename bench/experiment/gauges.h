/* gauges: looks at a server's memory ten times a second while a turn goes on, and keeps the most.
 *
 * Idea     What waits for readers grows and is gone again within a turn. The thread that has the
 *          clients cannot ask without being late, so another one does.
 * Threads  gauges_start makes one; all functions here are called from the same other thread.
 * Memory   gauges_start to gauges_stop. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "measure/process.h"

struct gauges;

struct gauges_seen {
    uint64_t queue_bytes; /* ringside_queue_bytes, the most */
    uint64_t queue_last;  /* and the last */
    uint64_t rss_bytes;   /* how much it grew at most since the start */
    uint64_t tcp_bytes;   /* likewise, of all TCP sockets of the machine */
};

/* `process` stays the caller's. */
struct gauges *gauges_start(const struct sockaddr_in *address, const struct process *process);
void gauges_stop(struct gauges *gauges, struct gauges_seen *ret);
