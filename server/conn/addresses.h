/* addresses: what each address has taken of what is limited, counted by all shards in one table.
 *
 *   key ─► hash ─► row   ┌ tag · connections │ × 8      one cache line
 *                        ├ connects   ns     │ × 8      when each bucket is empty again
 *                        ├ requests   ns     │ × 8
 *                        └ publishes  ns     │ × 8
 *
 * Idea     An address belongs to no shard, since the kernel spreads its connections over all. So
 *          shards count in one table and wait for nobody: each word changes by compare-and-swap.
 *          Tag and connections are one word: nobody can be counted on an entry that has just become
 *          another's. docs/decisions/limits-by-address.md weighs it against a table for each shard.
 * Keys     address_key of wire/address.h; 0 stands for those who are not limited.
 * Hash     SipHash under a random key: nobody can choose addresses that meet in a row.
 * Threads  Any, at any time.
 * Memory   32 bytes for each entry, from the start.
 * Bounds   A row has eight. Full, it forgets the entry without connections whose buckets are empty
 *          soonest; if all have some, the newcomer is not limited (ADDRESS_UNTRACKED). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum address_rate {
    ADDRESS_CONNECTS,
    ADDRESS_REQUESTS,
    ADDRESS_PUBLISHES,
    ADDRESS_RATES,
};

struct addresses_config {
    uint32_t count;               /* entries; rounded up to a power of two */
    uint32_t connections_max;     /* 0: any number; at most ADDRESS_CONNECTIONS_MAX */
    int64_t per_s[ADDRESS_RATES]; /* 0: any number */
    int64_t burst_ns;             /* how far a rush may be ahead of its rate */
    uint64_t seed[2];
};

enum {
    ADDRESS_CONNECTIONS_MAX = (1 << 20) - 1,
    ADDRESSES_MAX = 1 << 23,
};

enum address_answer {
    ADDRESS_IN,        /* is counted, if connections are; addresses_leave is then due */
    ADDRESS_UNTRACKED, /* is not: there is no room to */
    ADDRESS_TOO_MANY,  /* connections_max are open */
    ADDRESS_TOO_FAST,  /* more than ADDRESS_CONNECTS allows */
};

struct addresses;

/* Returns NULL when memory is out. */
struct addresses *addresses_create(const struct addresses_config *config);
/* Accepts NULL. */
void addresses_free(struct addresses *addresses);

/* A connection begins. */
enum address_answer addresses_enter(struct addresses *addresses, uint64_t key, int64_t now_ns);

/* One that was counted has ended. */
void addresses_leave(struct addresses *addresses, uint64_t key);

/* Takes one of a rate and returns 0; or returns the ns after which there will be one, or -1 when
 * there is no room to count it: it is not limited. */
int64_t addresses_take(struct addresses *addresses, uint64_t key, enum address_rate rate,
                       int64_t now_ns);
