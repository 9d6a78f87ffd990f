/* linear_hash: a hash table that grows a bucket at a time, so that a million entries are never
 * moved in one go.
 *
 *   0 … split … level │ … 2 × level      buckets up to `split` have been split: by one bit more
 *   ▲                  ▲                 of the hash; an entry beyond what there are splits the
 *   segments of 512    buckets           next, and its entries stay or go to the new last one
 *
 * Idea     Litwin's linear hashing (1980). Buckets are chains; they lie in segments, which never
 *          move but the first, while it is smaller than a segment.
 * Threads  The owner's.
 * Memory   8 bytes a bucket, of which there are as many as entries, and down to a quarter again.
 *          Entries are the caller's, each with a node in it.
 * Bounds   An insertion splits a bucket at most, a removal merges four. Where memory is out for
 *          more buckets, chains become longer.
 * Source   The hash is the caller's: one that clients can foresee fills one bucket. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct linear_node {
    struct linear_node *next; /* of its bucket */
    uint32_t hash;            /* set before it is added */
};

/* All zero: empty. */
struct linear_hash {
    struct linear_node ***segments;
    uint32_t buckets;
    uint32_t count; /* of entries */
};

/* Returns 0, or -ENOMEM where there was not a bucket yet. */
int linear_hash_add(struct linear_hash *table, struct linear_node *node);

/* Takes out one that is in. The last one's removal gives all memory back. */
void linear_hash_remove(struct linear_hash *table, struct linear_node *node);

/* Where those with that hash may be; NULL: none is. Goes on with ->next; others are between. */
struct linear_node *linear_hash_first(const struct linear_hash *table, uint32_t hash);

/* What its buckets take. */
size_t linear_hash_bytes(const struct linear_hash *table);
