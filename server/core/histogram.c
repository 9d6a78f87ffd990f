#include "core/histogram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct histogram {
    uint64_t count;
    uint64_t overflow;
    uint64_t min_ns; /* UINT64_MAX while empty, so that recording needs no special case */
    uint64_t max_ns;
    unsigned __int128 sum_ns; /* 64 bits would wrap at 10^10 values of 2 s */
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* The bucket of a value. From 2^11 on, a value keeps its 11 leading bits; `shift` says how many
 * bits were dropped and with it how many half rows of 1024 lie before. */
static size_t bucket_index(uint64_t value)
{
    if (value >= HISTOGRAM_VALUE_LIMIT)
        return HISTOGRAM_BUCKETS - 1;
    unsigned int bits = 64 - (unsigned int)__builtin_clzll(value | 1);
    unsigned int shift = bits > HISTOGRAM_EXACT_BITS ? bits - HISTOGRAM_EXACT_BITS : 0;
    return (size_t)shift * HISTOGRAM_HALF + (size_t)(value >> shift);
}

static unsigned int bucket_shift(size_t index)
{
    return index < 2 * HISTOGRAM_HALF ? 0 : (unsigned int)(index / HISTOGRAM_HALF) - 1;
}

static uint64_t bucket_low(size_t index)
{
    assert(index < HISTOGRAM_BUCKETS);
    unsigned int shift = bucket_shift(index);
    return (uint64_t)(index - (size_t)shift * HISTOGRAM_HALF) << shift;
}

static uint64_t bucket_high(size_t index)
{
    return bucket_low(index) + (UINT64_C(1) << bucket_shift(index)) - 1;
}

struct histogram *histogram_create(void)
{
    struct histogram *h = calloc(1, sizeof(*h));
    if (h != NULL)
        h->min_ns = UINT64_MAX;
    return h;
}

void histogram_free(struct histogram *h)
{
    free(h);
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof(*h));
    h->min_ns = UINT64_MAX;
}

void histogram_record(struct histogram *h, uint64_t value_ns)
{
    histogram_record_n(h, value_ns, 1);
}

void histogram_record_n(struct histogram *h, uint64_t value_ns, uint64_t count)
{
    if (count == 0)
        return;
    h->counts[bucket_index(value_ns)] += count;
    h->count += count;
    h->sum_ns += (unsigned __int128)value_ns * count;
    if (value_ns >= HISTOGRAM_VALUE_LIMIT)
        h->overflow += count;
    if (value_ns < h->min_ns)
        h->min_ns = value_ns;
    if (value_ns > h->max_ns)
        h->max_ns = value_ns;
}

/* Adds first, first - step, first - 2 * step, ...: `count` values that all fall into bucket
 * `index`. */
static void record_run(struct histogram *h, size_t index, uint64_t first, uint64_t step,
                       uint64_t count)
{
    unsigned __int128 pairs = (unsigned __int128)count * (count - 1) / 2;
    uint64_t last = first - step * (count - 1);

    h->counts[index] += count;
    h->count += count;
    h->sum_ns += (unsigned __int128)first * count - pairs * step;
    if (last < h->min_ns)
        h->min_ns = last;
}

/* Steps over buckets, not over the missing values: a stall of a minute at an interval of a
 * microsecond is 60 million values in 17,000 buckets. */
void histogram_record_corrected(struct histogram *h, uint64_t value_ns, uint64_t interval_ns)
{
    histogram_record(h, value_ns);
    if (interval_ns == 0 || value_ns < interval_ns)
        return;

    uint64_t missing = value_ns - interval_ns;
    while (missing >= interval_ns) {
        size_t index = bucket_index(missing);
        bool over = missing >= HISTOGRAM_VALUE_LIMIT;
        uint64_t low = over ? HISTOGRAM_VALUE_LIMIT : bucket_low(index);
        uint64_t count = (missing - (low > interval_ns ? low : interval_ns)) / interval_ns + 1;
        h->overflow += over ? count : 0;
        record_run(h, index, missing, interval_ns, count);
        missing -= interval_ns * (count - 1);
        if (missing < interval_ns)
            break;
        missing -= interval_ns;
    }
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (from->counts[i] != 0)
            h->counts[i] += from->counts[i];
    }
    h->count += from->count;
    h->overflow += from->overflow;
    h->sum_ns += from->sum_ns;
    if (from->min_ns < h->min_ns)
        h->min_ns = from->min_ns;
    if (from->max_ns > h->max_ns)
        h->max_ns = from->max_ns;
}

uint64_t histogram_count(const struct histogram *h)
{
    return h->count;
}

uint64_t histogram_overflow(const struct histogram *h)
{
    return h->overflow;
}

uint64_t histogram_min(const struct histogram *h)
{
    return h->count == 0 ? 0 : h->min_ns;
}

uint64_t histogram_max(const struct histogram *h)
{
    return h->max_ns;
}

double histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : (double)h->sum_ns / (double)h->count;
}

/* Which value, counted from 1 in sorted order, answers for `percent`. The thousandth of a value
 * absorbs rounding: 99.9 % of 1000 values is 999.0000000000001 in binary, and must be the 999th. */
static uint64_t percentile_rank(uint64_t count, double percent)
{
    double position = (double)count * percent / 100;
    uint64_t rank = (uint64_t)position;
    if (position - (double)rank > 0.001)
        rank++;
    if (rank < 1)
        return 1;
    return rank < count ? rank : count;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    assert(percent >= 0 && percent <= 100);
    if (h->count == 0)
        return 0;

    uint64_t rank = percentile_rank(h->count, percent);
    if (rank == 1)
        return h->min_ns;
    if (rank == h->count)
        return h->max_ns;

    size_t i = bucket_index(h->min_ns);
    for (uint64_t seen = h->counts[i]; seen < rank; seen += h->counts[i]) {
        i++;
        assert(i < HISTOGRAM_BUCKETS);
    }
    return bucket_high(i) < h->max_ns && i < HISTOGRAM_BUCKETS - 1 ? bucket_high(i) : h->max_ns;
}

bool histogram_next(const struct histogram *h, size_t *cursor, struct histogram_bucket *ret_bucket)
{
    for (size_t i = *cursor; i < HISTOGRAM_BUCKETS; i++) {
        if (h->counts[i] == 0)
            continue;
        bool open_ended = i == HISTOGRAM_BUCKETS - 1 && h->overflow > 0;
        *ret_bucket = (struct histogram_bucket){
            .low_ns = bucket_low(i),
            .high_ns = open_ended ? h->max_ns : bucket_high(i),
            .count = h->counts[i],
        };
        *cursor = i + 1;
        return true;
    }
    return false;
}
