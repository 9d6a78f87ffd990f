/* redis_sentinel: which Redis is the master now, as its sentinels have it. Internal to broker/.
 *
 *   SENTINEL get-master-addr-by-name NAME ─► the first that knows: address and port
 *
 * Idea     Asked before each attempt to connect: behind a failover the links are lost, and lead to
 *          the new master. That one was a replica, so the epochs begin anew (redis_link.h).
 * Threads  Any; it blocks, for the timeout of each.
 * Bounds   REDIS_SENTINELS_MAX. What they answer is an address that fits, or nothing. */
#pragma once

#include <stddef.h>

#include "broker/redis_link.h"

enum {
    REDIS_SENTINELS_MAX = 8,
    REDIS_MASTER_MAX = 64,
};

struct redis_sentinel {
    char host[REDIS_HOST_MAX];
    int port;
};

struct redis_sentinels {
    struct redis_sentinel at[REDIS_SENTINELS_MAX];
    unsigned count; /* 0: there are none, and the address is known */
    char master[REDIS_MASTER_MAX];
};

/* Writes the master's host and port. Returns 0, or negative errno and a sentence. */
int redis_sentinels_ask(const struct redis_sentinels *sentinels, struct redis_address *ret,
                        char *why, size_t why_size);
