/* The module is included, so that bucket arithmetic is tested without being exported. */
#include "core/histogram.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    SAMPLES = 20000
};

static const double percents[] = {0, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
enum {
    PERCENTS = sizeof(percents) / sizeof(percents[0])
};

/* splitmix64: short, seeded, the same everywhere. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t draw_constant(uint64_t *state)
{
    (void)state;
    return 1234567;
}

static uint64_t draw_small(uint64_t *state)
{
    return random_next(state) % 2048;
}

static uint64_t draw_uniform(uint64_t *state)
{
    return random_next(state) % 1000000;
}

/* Every power of two is as likely as any other: the widest range in one set. */
static uint64_t draw_log_uniform(uint64_t *state)
{
    unsigned int bits = 1 + (unsigned int)(random_next(state) % HISTOGRAM_VALUE_BITS);
    return random_next(state) >> (64 - bits);
}

/* 1 in 200 is a stall, a thousand times longer: how latency looks. */
static uint64_t draw_stalls(uint64_t *state)
{
    uint64_t value = 50000 + random_next(state) % 20000;
    return random_next(state) % 200 == 0 ? value * 1000 : value;
}

static uint64_t (*const draws[])(uint64_t *) = {
    draw_constant, draw_small, draw_uniform, draw_log_uniform, draw_stalls,
};
enum {
    DRAWS = sizeof(draws) / sizeof(draws[0])
};

static int compare_values(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The stated bound: never below the truth, never more than 1/1024 above it. */
static void assert_close(uint64_t got, uint64_t exact)
{
    assert_true(got >= exact);
    assert_true(got - exact <= exact / HISTOGRAM_HALF);
}

static void assert_percentiles(const struct histogram *h, const uint64_t *sorted, uint64_t count)
{
    for (size_t i = 0; i < PERCENTS; i++) {
        uint64_t rank = percentile_rank(count, percents[i]);
        assert_close(histogram_percentile(h, percents[i]), sorted[rank - 1]);
    }
}

static void assert_same(const struct histogram *a, const struct histogram *b)
{
    assert_memory_equal(a, b, sizeof(*a));
}

static void test_empty(void **state)
{
    (void)state;
    struct histogram *h = histogram_create();
    struct histogram_bucket bucket;
    size_t cursor = 0;

    assert_int_equal(histogram_count(h), 0);
    assert_int_equal(histogram_min(h), 0);
    assert_int_equal(histogram_max(h), 0);
    assert_true(histogram_mean(h) == 0);
    assert_int_equal(histogram_percentile(h, 99.99), 0);
    assert_false(histogram_next(h, &cursor, &bucket));
    histogram_free(h);
    histogram_free(NULL);
}

/* The buckets tile 0..2^40 without gap or overlap, and none is wider than the stated bound. */
static void test_buckets_tile_the_range(void **state)
{
    (void)state;
    uint64_t next = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(bucket_low(i), next);
        assert_int_equal(bucket_index(bucket_low(i)), i);
        assert_int_equal(bucket_index(bucket_high(i)), i);
        assert_true(bucket_high(i) - bucket_low(i) <= bucket_low(i) / HISTOGRAM_HALF);
        next = bucket_high(i) + 1;
    }
    assert_int_equal(next, HISTOGRAM_VALUE_LIMIT);
}

static void test_percentiles_match_sorted_samples(void **state)
{
    (void)state;
    static uint64_t values[SAMPLES];
    struct histogram *h = histogram_create();

    for (size_t d = 0; d < DRAWS; d++) {
        uint64_t seed = 42 + d;
        double sum = 0;
        histogram_reset(h);
        for (size_t i = 0; i < SAMPLES; i++) {
            values[i] = draws[d](&seed);
            sum += (double)values[i];
            histogram_record(h, values[i]);
        }
        qsort(values, SAMPLES, sizeof(values[0]), compare_values);

        assert_percentiles(h, values, SAMPLES);
        assert_int_equal(histogram_count(h), SAMPLES);
        assert_int_equal(histogram_min(h), values[0]);
        assert_int_equal(histogram_max(h), values[SAMPLES - 1]);
        assert_true(histogram_mean(h) >= sum / SAMPLES * (1 - 1e-9));
        assert_true(histogram_mean(h) <= sum / SAMPLES * (1 + 1e-9));
    }
    histogram_free(h);
}

static void test_percentile_rank_is_nearest_rank(void **state)
{
    (void)state;
    assert_int_equal(percentile_rank(1000, 99.9), 999);
    assert_int_equal(percentile_rank(1000, 99.91), 1000);
    assert_int_equal(percentile_rank(10000, 99.99), 9999);
    assert_int_equal(percentile_rank(2, 50), 1);
    assert_int_equal(percentile_rank(3, 50), 2);
    assert_int_equal(percentile_rank(3, 0), 1);
    assert_int_equal(percentile_rank(3, 100), 3);
    assert_int_equal(percentile_rank(1, 99.99), 1);
}

static void test_record_n_is_n_records(void **state)
{
    (void)state;
    struct histogram *once = histogram_create();
    struct histogram *many = histogram_create();

    histogram_record_n(once, 70000, 9000);
    histogram_record_n(once, 12, 0);
    for (size_t i = 0; i < 9000; i++)
        histogram_record(many, 70000);
    assert_same(once, many);
    histogram_free(once);
    histogram_free(many);
}

static void test_merge_is_recording_into_one(void **state)
{
    (void)state;
    struct histogram *parts[2] = {histogram_create(), histogram_create()};
    struct histogram *whole = histogram_create();
    struct histogram *empty = histogram_create();
    uint64_t seed = 7;

    for (size_t i = 0; i < SAMPLES; i++) {
        uint64_t value = draw_log_uniform(&seed);
        histogram_record(parts[i % 2], value);
        histogram_record(whole, value);
    }
    histogram_merge(parts[0], parts[1]);
    histogram_merge(parts[0], empty);
    assert_same(parts[0], whole);
    histogram_merge(empty, whole);
    assert_same(empty, whole);

    for (size_t i = 0; i < 2; i++)
        histogram_free(parts[i]);
    histogram_free(whole);
    histogram_free(empty);
}

/* Ten answers of 1 ms, then one of 100 ms from a client that sends every 10 ms: the nine that it
 * could not send would have taken 90, 80, ... 10 ms. */
static void test_corrected_fills_in_a_stall(void **state)
{
    (void)state;
    const uint64_t ms = 1000000;
    struct histogram *h = histogram_create();

    for (size_t i = 0; i < 10; i++)
        histogram_record_corrected(h, ms, 10 * ms);
    histogram_record_corrected(h, 100 * ms, 10 * ms);

    assert_int_equal(histogram_count(h), 20);
    assert_int_equal(histogram_min(h), ms);
    assert_int_equal(histogram_max(h), 100 * ms);
    assert_close(histogram_percentile(h, 50), ms);
    assert_close(histogram_percentile(h, 75), 50 * ms);
    assert_close(histogram_percentile(h, 95), 90 * ms);
    assert_true(histogram_mean(h) == 28.0 * 1000000);
    histogram_free(h);
}

/* The run-at-once arithmetic against the loop that it replaces, with values and intervals chosen to
 * have many, one and no missing values per bucket, and to begin beyond the range. */
static void test_corrected_equals_the_plain_loop(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 999, 5000, 123456, 9999999, HISTOGRAM_VALUE_LIMIT + 77, HISTOGRAM_VALUE_LIMIT * 3};
    static const uint64_t intervals[] = {0, 1, 7, 1000, 4096, 1000000};
    struct histogram *fast = histogram_create();
    struct histogram *plain = histogram_create();

    for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
        for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
            uint64_t step = intervals[i];
            if (step > 0 && values[v] / step > 20000000)
                continue;
            histogram_record_corrected(fast, values[v], step);
            histogram_record(plain, values[v]);
            for (uint64_t k = 1; step > 0 && values[v] >= (k + 1) * step; k++)
                histogram_record(plain, values[v] - k * step);
        }
    }
    assert_same(fast, plain);
    histogram_free(fast);
    histogram_free(plain);
}

/* An interval beyond the range, and a stall that would be 2^50 missing values one by one. */
static void test_corrected_extremes(void **state)
{
    (void)state;
    struct histogram *h = histogram_create();

    histogram_record_corrected(h, HISTOGRAM_VALUE_LIMIT * 4, HISTOGRAM_VALUE_LIMIT + 1);
    assert_int_equal(histogram_count(h), 3);
    assert_int_equal(histogram_overflow(h), 3);

    histogram_reset(h);
    histogram_record_corrected(h, UINT64_C(1) << 50, 1);
    assert_int_equal(histogram_count(h), UINT64_C(1) << 50);
    assert_int_equal(histogram_overflow(h), (UINT64_C(1) << 50) - HISTOGRAM_VALUE_LIMIT + 1);
    assert_int_equal(histogram_min(h), 1);
    histogram_free(h);
}

static void test_overflow_keeps_the_maximum(void **state)
{
    (void)state;
    struct histogram *h = histogram_create();
    struct histogram_bucket bucket;
    size_t cursor = 0;

    histogram_record(h, HISTOGRAM_VALUE_LIMIT - 1);
    assert_int_equal(histogram_overflow(h), 0);
    histogram_record(h, HISTOGRAM_VALUE_LIMIT);
    histogram_record(h, UINT64_MAX);
    assert_int_equal(histogram_overflow(h), 2);
    assert_int_equal(histogram_max(h), UINT64_MAX);
    assert_int_equal(histogram_percentile(h, 99), UINT64_MAX);

    assert_true(histogram_next(h, &cursor, &bucket));
    assert_int_equal(bucket.count, 3);
    assert_int_equal(bucket.high_ns, UINT64_MAX);
    assert_false(histogram_next(h, &cursor, &bucket));
    histogram_free(h);
}

static void test_buckets_rebuild_the_counts(void **state)
{
    (void)state;
    struct histogram *h = histogram_create();
    struct histogram *copy = histogram_create();
    struct histogram_bucket bucket;
    uint64_t seed = 3;
    uint64_t last = 0;
    size_t cursor = 0;

    for (size_t i = 0; i < SAMPLES; i++)
        histogram_record(h, 1 + draw_log_uniform(&seed) / 2);
    while (histogram_next(h, &cursor, &bucket)) {
        assert_true(bucket.low_ns > last);
        assert_true(bucket.count > 0);
        last = bucket.high_ns;
        histogram_record_n(copy, bucket.low_ns, bucket.count);
    }
    assert_int_equal(histogram_count(copy), SAMPLES);
    assert_memory_equal(copy->counts, h->counts, sizeof(h->counts));
    histogram_free(h);
    histogram_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_buckets_tile_the_range),
        cmocka_unit_test(test_percentiles_match_sorted_samples),
        cmocka_unit_test(test_percentile_rank_is_nearest_rank),
        cmocka_unit_test(test_record_n_is_n_records),
        cmocka_unit_test(test_merge_is_recording_into_one),
        cmocka_unit_test(test_corrected_fills_in_a_stall),
        cmocka_unit_test(test_corrected_equals_the_plain_loop),
        cmocka_unit_test(test_corrected_extremes),
        cmocka_unit_test(test_overflow_keeps_the_maximum),
        cmocka_unit_test(test_buckets_rebuild_the_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
