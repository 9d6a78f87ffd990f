/* Who is let in, and what the others are told. The clock is an argument: nothing waits here. */
#include "conn/admission.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    CROWD = 20000,
    SLICES = 40,
};

#define START_NS (INT64_C(1000) * NS_PER_S)

static struct settings settings_of(int64_t admits_per_s, int64_t burst_ms)
{
    struct settings settings;
    settings_default(&settings);
    settings.admits_per_s = admits_per_s;
    settings.admit_burst_ms = burst_ms;
    return settings;
}

static struct admission admission_of(int64_t admits_per_s, int64_t burst_ms, unsigned shards)
{
    const struct settings settings = settings_of(admits_per_s, burst_ms);
    struct admission admission;
    admission_init(&admission, &settings, shards, 1);
    return admission;
}

/* How many of a crowd that comes at once are let in. */
static unsigned let_in(struct admission *admission, unsigned crowd, int64_t now_ns)
{
    unsigned in = 0;
    for (unsigned i = 0; i < crowd; i++)
        in += admission_ask(admission, now_ns) == 0;
    return in;
}

static void test_without_a_rate_everybody_is_let_in(void **state)
{
    (void)state;
    struct admission admission = admission_of(0, 250, 4);
    assert_int_equal(let_in(&admission, CROWD, START_NS), CROWD);
}

static void test_a_crowd_gets_the_burst_and_no_more(void **state)
{
    (void)state;
    struct admission admission = admission_of(1000, 250, 1);
    assert_int_equal(let_in(&admission, CROWD, START_NS), 251);
    assert_int_equal(let_in(&admission, CROWD, START_NS), 0);
    assert_int_equal(let_in(&admission, CROWD, START_NS + 100 * NS_PER_MS), 100);
    assert_int_equal(let_in(&admission, CROWD, START_NS + 60 * NS_PER_S), 251);
}

static void test_without_a_burst_one_at_a_time(void **state)
{
    (void)state;
    struct admission admission = admission_of(10, 0, 1);
    for (int i = 0; i < 50; i++)
        assert_int_equal(let_in(&admission, 3, START_NS + i * 100 * NS_PER_MS), 1);
}

static void test_shards_have_their_part(void **state)
{
    (void)state;
    struct admission admission = admission_of(1000, 0, 4);
    unsigned in = 0;
    for (int ms = 0; ms < 2000; ms++)
        in += let_in(&admission, 5, START_NS + ms * NS_PER_MS);
    assert_int_equal(in, 500);
}

/* The places of a crowd are spread evenly over the time that it takes to let it in. */
static void test_a_crowd_is_spread_over_the_rate(void **state)
{
    (void)state;
    struct admission admission = admission_of(1000, 0, 1);
    unsigned slices[SLICES] = {0};
    for (unsigned i = 0; i <= CROWD; i++) {
        uint32_t wait_ms = admission_ask(&admission, START_NS);
        assert_true(i == 0 || wait_ms > 0);
        if (wait_ms / 1000 < SLICES)
            slices[wait_ms / 1000]++;
    }
    unsigned told = 0;
    for (unsigned s = 0; s < SLICES; s++) {
        told += slices[s];
        assert_true(slices[s] <= 1100);
        assert_true(s < 2 || s > 18 || slices[s] >= 800);
    }
    assert_int_equal(told, CROWD + 1);
}

struct comer {
    int64_t at_ns;
};

static int by_time(const void *a, const void *b)
{
    const struct comer *left = a, *right = b;
    return (left->at_ns > right->at_ns) - (left->at_ns < right->at_ns);
}

/* Clients that do as they are told are in after crowd ÷ rate, most at their second attempt. */
static void test_who_does_as_told_is_let_in(void **state)
{
    (void)state;
    struct admission admission = admission_of(1000, 250, 1);
    static struct comer comers[CROWD];
    unsigned left = CROWD, attempts = 0;
    int64_t last_ns = START_NS;
    for (unsigned i = 0; i < CROWD; i++)
        comers[i].at_ns = START_NS;
    while (left > 0) {
        unsigned again = 0;
        qsort(comers, left, sizeof comers[0], by_time);
        for (unsigned i = 0; i < left; i++, attempts++) {
            uint32_t wait_ms = admission_ask(&admission, comers[i].at_ns);
            if (wait_ms > 0)
                comers[again++].at_ns = comers[i].at_ns + wait_ms * NS_PER_MS;
            else if (comers[i].at_ns > last_ns)
                last_ns = comers[i].at_ns;
        }
        assert_true(again < left);
        left = again;
    }
    assert_true(last_ns - START_NS < 30 * NS_PER_S);
    assert_true(attempts < 3 * CROWD);
}

static void test_nobody_waits_longer_than_the_bound(void **state)
{
    (void)state;
    struct settings settings = settings_of(10, 0);
    struct admission admission;
    bool half = false;
    settings.admit_wait_ms_max = 5000;
    admission_init(&admission, &settings, 1, 7);
    for (unsigned i = 0; i < CROWD; i++) {
        uint32_t wait_ms = admission_ask(&admission, START_NS);
        assert_true(wait_ms <= 5000);
        assert_true(i < 100 || wait_ms >= 2500);
        half |= wait_ms < 3000;
    }
    assert_true(half);
}

static void test_retry_is_spread(void **state)
{
    (void)state;
    struct settings settings = settings_of(0, 0);
    struct admission admission;
    uint32_t least = UINT32_MAX, most = 0;
    settings.retry_ms = 700;
    settings.retry_spread_ms = 300;
    admission_init(&admission, &settings, 1, 3);
    for (unsigned i = 0; i < CROWD; i++) {
        uint32_t retry_ms = admission_retry_ms(&admission);
        least = retry_ms < least ? retry_ms : least;
        most = retry_ms > most ? retry_ms : most;
    }
    assert_int_equal(least, 700);
    assert_int_equal(most, 1000);
    settings.retry_spread_ms = 0;
    admission_init(&admission, &settings, 1, 3);
    assert_int_equal(admission_retry_ms(&admission), 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_rate_everybody_is_let_in),
        cmocka_unit_test(test_a_crowd_gets_the_burst_and_no_more),
        cmocka_unit_test(test_without_a_burst_one_at_a_time),
        cmocka_unit_test(test_shards_have_their_part),
        cmocka_unit_test(test_a_crowd_is_spread_over_the_rate),
        cmocka_unit_test(test_who_does_as_told_is_let_in),
        cmocka_unit_test(test_nobody_waits_longer_than_the_bound),
        cmocka_unit_test(test_retry_is_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
