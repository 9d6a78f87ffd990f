/* timers: nothing fires early, everything fires once, and a turn is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/timers.c"

enum {
    ELEMENTS = 64,
};

struct element {
    struct timer_link link;
    unsigned fired;
};

struct wheel {
    struct timers timers;
    struct element elements[ELEMENTS];
    uint32_t cancels; /* the element that firing any other one cancels, or TIMERS_NONE */
    int64_t again_ns; /* 0, or the deadline that a fired one gets */
};

static void fire(void *context, uint32_t index)
{
    struct wheel *wheel = context;
    wheel->elements[index].fired++;
    if (wheel->again_ns > 0)
        timers_arm(&wheel->timers, index, wheel->again_ns);
    if (wheel->cancels != TIMERS_NONE)
        timers_cancel(&wheel->timers, wheel->cancels);
}

static struct wheel *wheel_new(void)
{
    struct wheel *wheel = test_calloc(1, sizeof *wheel);
    wheel->cancels = TIMERS_NONE;
    timers_init(&wheel->timers, wheel->elements, sizeof wheel->elements[0],
                offsetof(struct element, link), 0);
    for (unsigned i = 0; i < ELEMENTS; i++)
        timer_link_init(&wheel->elements[i].link);
    return wheel;
}

static bool advance(struct wheel *wheel, int64_t ticks, uint32_t most)
{
    return timers_advance(&wheel->timers, ticks * TIMERS_TICK_NS, most, fire, wheel);
}

static unsigned fired(const struct wheel *wheel)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < ELEMENTS; i++)
        sum += wheel->elements[i].fired;
    return sum;
}

static void test_never_early_once_only(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    timers_arm(&wheel->timers, 3, 5 * TIMERS_TICK_NS);
    assert_false(advance(wheel, 5, UINT32_MAX));
    assert_int_equal(fired(wheel), 0);
    assert_false(advance(wheel, 6, UINT32_MAX));
    assert_int_equal(wheel->elements[3].fired, 1);
    advance(wheel, 5000, UINT32_MAX);
    assert_int_equal(fired(wheel), 1);
    test_free(wheel);
}

static void test_a_turn_ends_behind_the_tick_that_was_enough(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    for (uint32_t i = 0; i < 30; i++)
        timers_arm(&wheel->timers, i, (int64_t)(i / 10) * TIMERS_TICK_NS);
    assert_true(advance(wheel, 20, 5));
    assert_int_equal(fired(wheel), 10);
    assert_true(advance(wheel, 20, 15));
    assert_int_equal(fired(wheel), 30);
    assert_false(advance(wheel, 20, 15));
    test_free(wheel);
}

static void test_a_long_stop_forgets_nobody(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    for (uint32_t i = 0; i < ELEMENTS; i++)
        timers_arm(&wheel->timers, i, (int64_t)i * 7 * TIMERS_TICK_NS);
    assert_false(advance(wheel, INT64_C(3) * TIMERS_BUCKETS, 1));
    assert_int_equal(fired(wheel), ELEMENTS);
    test_free(wheel);
}

static void test_firing_may_cancel_the_next(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    timers_arm(&wheel->timers, 1, TIMERS_TICK_NS);
    timers_arm(&wheel->timers, 2, TIMERS_TICK_NS);
    wheel->cancels = 1; /* the later one in the list */
    advance(wheel, 10, UINT32_MAX);
    assert_int_equal(wheel->elements[1].fired, 0);
    assert_int_equal(wheel->elements[2].fired, 1);
    test_free(wheel);
}

static void test_fired_again_while_behind(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    timers_arm(&wheel->timers, 1, TIMERS_TICK_NS);
    wheel->again_ns = 40 * TIMERS_TICK_NS;
    advance(wheel, 30, 1);
    assert_int_equal(timers_deadline_ns(&wheel->timers, 1), 41 * TIMERS_TICK_NS);
    advance(wheel, 39, UINT32_MAX);
    assert_int_equal(fired(wheel), 1);
    test_free(wheel);
}

static void test_wait_is_until_the_next_tick_in_use(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new();
    const int64_t max_ns = 1000 * TIMERS_TICK_NS;
    assert_int_equal(timers_wait_ns(&wheel->timers, 0, max_ns), max_ns);
    timers_arm(&wheel->timers, 0, 99 * TIMERS_TICK_NS);
    assert_int_equal(timers_wait_ns(&wheel->timers, 0, max_ns), 100 * TIMERS_TICK_NS);
    assert_int_equal(timers_wait_ns(&wheel->timers, 500 * TIMERS_TICK_NS, max_ns), 0);
    test_free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_early_once_only),
        cmocka_unit_test(test_a_turn_ends_behind_the_tick_that_was_enough),
        cmocka_unit_test(test_a_long_stop_forgets_nobody),
        cmocka_unit_test(test_firing_may_cancel_the_next),
        cmocka_unit_test(test_fired_again_while_behind),
        cmocka_unit_test(test_wait_is_until_the_next_tick_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
