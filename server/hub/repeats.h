/* repeats: what publishes with a key were answered, so that one which is asked for again is not
 * done again.
 *
 *   ring     oldest ─► … ─► newest      in order of their ends, as all last equally long
 *   buckets  hash ─► entry ─► entry     indices into the ring
 *
 * Threads  The home shard's.
 * Memory   48 bytes for each, doubled as they come; none before the first, and given back behind
 *          the last.
 * Bounds   `max` of them: the oldest gives way. Channel and key are known by hashes of 64 bits
 *          each, under the seed of the process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct repeat {
    uint64_t channel; /* hub_hash of its name */
    uint64_t key;     /* of the key */
    uint64_t epoch, offset;
    int64_t until_ns;
    uint32_t next; /* in its bucket */
};

struct repeats {
    struct repeat *ring;
    uint32_t *buckets;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t head, count;
    uint32_t max;
};

/* What it was answered, or NULL: it is new, or too long ago. */
const struct repeat *repeats_find(struct repeats *repeats, uint64_t channel, uint64_t key,
                                  int64_t now_ns);

/* Makes room for one more, so that repeats_add cannot fail. Returns 0, -ENOMEM; or -ENOSPC, where
 * max is 0. */
int repeats_reserve(struct repeats *repeats);
void repeats_add(struct repeats *repeats, const struct repeat *repeat);

/* Forgets those that are over, at most so many. */
void repeats_expire(struct repeats *repeats, int64_t now_ns, unsigned most);
void repeats_done(struct repeats *repeats);
