/* table: how this hub uses uthash: the caller brings the hash, and a failed insert is an error, not
 * the end.
 *
 * The low half of a name's hash chooses the bucket, the high half the home shard: were it the same
 * half, all channels of one home would share a fraction of the buckets. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

static inline unsigned table_hash(uint64_t hash)
{
    return (unsigned)hash;
}

static inline unsigned home_of(uint64_t hash, unsigned shards)
{
    return (unsigned)((hash >> 32) * shards >> 32);
}
