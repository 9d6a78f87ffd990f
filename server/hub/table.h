/* table: channels by name, over uthash: the caller brings the hash, and a failed insert is an
 * error, not the end of the process.
 *
 * The low half of a name's hash chooses the bucket, the high half the home shard: were it the same
 * half, all channels of one home would share a fraction of the buckets. The topmost bits of the low
 * half choose the part: a hash of uthash doubles its buckets in one go, which for a million names
 * would be a tenth of a second; each of the parts does so for itself.
 *
 * Threads  The hub's.
 * Memory   The node is the first member of what is found; node and name belong to the caller, and
 *          stay where they are. The table has the buckets, and frees them with the last node.
 * Bounds   The caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct table_node {
    UT_hash_handle hh;
};

enum {
    TABLE_PART_BITS = 7,
    TABLE_PARTS = 1 << TABLE_PART_BITS,
};

struct table {
    struct table_node *parts[TABLE_PARTS]; /* any node of the part, or NULL */
};

static inline unsigned home_of(uint64_t hash, unsigned shards)
{
    return (unsigned)((hash >> 32) * shards >> 32);
}

/* NULL when there is none. */
struct table_node *table_find(const struct table *table, const char *name, size_t len,
                              uint64_t hash);
/* The name is not there yet. Returns 0 or -ENOMEM. */
int table_insert(struct table *table, struct table_node *node, const char *name, size_t len,
                 uint64_t hash);
void table_remove(struct table *table, struct table_node *node);

/* Any node, or NULL when there is none. `*part` is where to look first; begin with 0. */
struct table_node *table_any(const struct table *table, unsigned *part);
