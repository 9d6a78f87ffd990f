/* admission: how many new subscribers a shard lets in each second, and when the others are told to
 * come back.
 *
 *     a subscriber ─┬─ the bucket has room ─► in
 *                   └─ it has none ─► "come back in N ms": the next place of a line
 *
 *     now ├──────┼──────┼──────┼──────┤ line_ns      one place each 1/rate, until wait_ns_max
 *
 * Idea     Clients that were cut off together and are told the same number come back together. So
 *          each one that is sent away gets a time of its own: the place behind the one before, at
 *          the rate at which they can be let in. A crowd of N is in after N ÷ rate seconds and
 *          about two attempts each. A place is a hint and no reservation: nothing is remembered
 *          about who has it, so a client that ignores it costs nobody his.
 * Threads  The shard's.
 * Memory   In place.
 * Bounds   Nobody is told to wait for longer than wait_ns_max. What finds the line as long as that
 *          is spread over its second half at random. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/settings.h"

struct admission {
    int64_t interval_ns; /* between two of a steady stream; 0: everybody is let in */
    int64_t burst_ns;    /* how far a rush may be ahead of that */
    int64_t wait_ns_max;
    int64_t bucket_ns; /* when the bucket is full again; earlier than now: it is */
    int64_t line_ns;   /* the last place given away */
    int64_t retry_ms, retry_spread_ms;
    uint64_t random;
};

/* For one of `shards` shards, each of which has its part of the rate. */
void admission_init(struct admission *admission, const struct settings *settings, unsigned shards,
                    uint64_t seed);

/* Lets one subscriber in and returns 0, or returns the milliseconds after which it should come
 * again. */
uint32_t admission_ask(struct admission *admission, int64_t now_ns);

/* What a client is told to wait before it connects again, when nothing else is known: retry_ms and
 * a random part of retry_spread_ms. */
uint32_t admission_retry_ms(struct admission *admission);
