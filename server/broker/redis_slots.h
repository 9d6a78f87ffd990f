/* redis_slots: what the nodes of a Redis Cluster say of who has which slot. Internal to broker/.
 *
 *   key PREFIX:{CHANNEL}:m ─► CRC16 of what is in braces, mod 16384 ─► slot
 *   CLUSTER SLOTS          ─► ranges of slots, the address of the master of each
 *   -MOVED 3999 host:port  ─► a range of one
 *
 * Idea     Bytes in, numbers out; what is said is taken for hostile.
 * Threads  any.
 * Source   redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/redis_link.h"

enum {
    REDIS_SLOTS = 16384,
};

struct redis_range {
    uint16_t first, last;
    char host[REDIS_HOST_MAX];
    int port;
};

/* The slot of what is in braces: channels have no braces of their own. */
unsigned redis_slot(const char *tag, size_t len);

/* One entry of CLUSTER SLOTS: first, last, master, replicas. Where it leaves the host out it means
 * the one that was asked. Returns 0 or -EINVAL. */
int redis_range_read(struct redis_range *ret, const redisReply *entry, const char *asked);
/* What is behind MOVED or ASK in an error. Returns 0, or -EINVAL: it is neither. */
int redis_redirect_read(struct redis_range *ret, struct span error, const char *asked);
