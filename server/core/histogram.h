/* histogram: counts of durations in buckets whose width grows with the value.
 *
 *   value   0 ......... 2047 | 2048 ....... 4095 | 4096 ....... 8191 | ... | .... 2^40 - 1
 *   width   1 ns (exact)     | 2 ns              | 4 ns              | ... | 2^29 ns
 *   buckets 2048             | 1024              | 1024              | ... | 1024
 *
 * The layout of Gil Tene's HdrHistogram with three significant digits. A bucket is never wider than
 * 1/1024 of its smallest value, and every query answers with the bucket's largest value, so a
 * percentile is never below the true one and at most 0.098 % above it. Count, minimum, maximum and
 * mean are exact. Values of 2^40 ns (18.3 minutes) and more are counted in the last bucket and in
 * `overflow`; the maximum still has their true value.
 *
 * Threads  one owner. Threads that measure own one each; merge them after the threads are joined.
 * Memory   one block of 248 KiB, made by histogram_create; nothing allocates afterwards.
 *          Pages that no value falls into are never touched until a reset.
 * Bounds   HISTOGRAM_BUCKETS counters of 64 bits. Recording is a few instructions; a corrected
 *          record is bounded by HISTOGRAM_BUCKETS steps however long the stall was. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_EXACT_BITS  11
#define HISTOGRAM_VALUE_BITS  40
#define HISTOGRAM_HALF        (1u << (HISTOGRAM_EXACT_BITS - 1))
#define HISTOGRAM_BUCKETS     (HISTOGRAM_HALF * (HISTOGRAM_VALUE_BITS - HISTOGRAM_EXACT_BITS + 2))
#define HISTOGRAM_VALUE_LIMIT (UINT64_C(1) << HISTOGRAM_VALUE_BITS)

struct histogram;

/* One run of equal counts: `count` values in low_ns..high_ns, both included. */
struct histogram_bucket {
    uint64_t low_ns;
    uint64_t high_ns;
    uint64_t count;
};

/* Returns an empty histogram, or NULL when there is no memory. */
struct histogram *histogram_create(void);

/* Accepts NULL. */
void histogram_free(struct histogram *h);

/* Forgets every value. */
void histogram_reset(struct histogram *h);

void histogram_record(struct histogram *h, uint64_t value_ns);

/* The same value `count` times, at the cost of once. */
void histogram_record_n(struct histogram *h, uint64_t value_ns, uint64_t count);

/* Records `value_ns` and what a client that sends every `interval_ns` would have seen during the
 * stall, had it not waited for the answer: value - interval, value - 2 * interval, ... down to
 * interval (coordinated omission). An interval of 0 corrects nothing. */
void histogram_record_corrected(struct histogram *h, uint64_t value_ns, uint64_t interval_ns);

/* Adds every value of `from` to `h`; `from` stays as it is. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* How many values were recorded, and how many of them were HISTOGRAM_VALUE_LIMIT or more. */
uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_overflow(const struct histogram *h);

/* Of an empty histogram all of these are 0. */
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);
double histogram_mean(const struct histogram *h);

/* The smallest recordable value that at least `percent` of the values do not exceed (nearest rank):
 * 50 is the median, 0 the minimum, 100 the maximum. Costs a walk over the buckets. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* Walks the buckets that hold something, in rising order. Start with *cursor = 0; returns false,
 * with *ret_bucket untouched, after the last. The last bucket ends at the maximum, when values
 * overflowed. Recording low_ns `count` times for each bucket rebuilds the counts elsewhere. */
bool histogram_next(const struct histogram *h, size_t *cursor, struct histogram_bucket *ret_bucket);
