#include "experiment/knee_search.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
    STEPS_FAIR = 24, /* what a search from a start within a factor of 32 may take */
};

/* A server that holds everything up to `knee`. */
static double found(struct knee_search *search, double knee)
{
    while (search->next > 0) {
        assert_true(search->next >= search->least && search->next <= search->most);
        knee_search_take(search, search->next <= knee);
    }
    return search->low;
}

static void test_finds_the_knee_from_below_and_above(void **state)
{
    (void)state;
    static const double starts[] = {1, 30, 99, 100, 101, 640, 3200};
    static const double knees[] = {100, 101.7, 137, 199};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        for (size_t k = 0; k < sizeof knees / sizeof knees[0]; k++) {
            struct knee_search search;
            knee_search_init(&search, starts[i], 0.001, 1e6, false);
            double low = found(&search, knees[k]);
            assert_true(low <= knees[k] && search.high > knees[k]);
            assert_true(search.high <= low * 1.051);
            assert_true(search.steps <= STEPS_FAIR);
        }
    }
}

static void test_whole_numbers(void **state)
{
    (void)state;
    for (unsigned knee = 1; knee <= 300; knee++) {
        struct knee_search search;
        knee_search_init(&search, 7.3, 1, 1000, true);
        double low = found(&search, knee + 0.5);
        assert_true(low == round(low) && low <= knee);
        assert_true(search.high - low <= 1 || search.high <= low * 1.051);
    }
}

static void test_one_bad_turn_is_not_believed(void **state)
{
    (void)state;
    for (unsigned spoilt = 0; spoilt < STEPS_FAIR; spoilt++) {
        struct knee_search search;
        knee_search_init(&search, 8, 1, 1000, false);
        for (unsigned step = 0; search.next > 0; step++)
            knee_search_take(&search, search.next <= 100 && step != spoilt);
        assert_true(search.low >= 95 && search.low <= 100);
        assert_true(search.high > 100);
        assert_true(search.steps <= STEPS_FAIR);
    }
}

static void test_nothing_fails(void **state)
{
    (void)state;
    struct knee_search search;
    knee_search_init(&search, 8, 1, 1000, true);
    assert_true(found(&search, INFINITY) == 1000);
    assert_true(search.high == 0);
}

static void test_nothing_holds(void **state)
{
    (void)state;
    struct knee_search search;
    knee_search_init(&search, 64, 1, 1000, true);
    assert_true(found(&search, 0) == 0);
    assert_true(search.high == 1);
}

static void test_start_is_moved_into_the_bounds(void **state)
{
    (void)state;
    struct knee_search search;
    knee_search_init(&search, 5000, 2, 1000, true);
    assert_true(search.next == 1000);
    knee_search_init(&search, 0, 2, 1000, true);
    assert_true(search.next == 2);
}

static void test_steps_are_bounded(void **state)
{
    (void)state;
    struct knee_search search;
    knee_search_init(&search, 1, 1e-30, 1e30, false);
    while (search.next > 0)
        knee_search_take(&search, false);
    assert_int_equal(search.steps, KNEE_STEPS_MAX);
}

static void test_the_step_below_is_lower(void **state)
{
    (void)state;
    for (unsigned value = 1; value < 5000; value++) {
        assert_true(knee_search_below(value, true) < value);
        assert_true(knee_search_below(value, false) < value);
    }
    assert_true(knee_search_below(1, true) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_knee_from_below_and_above),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_one_bad_turn_is_not_believed),
        cmocka_unit_test(test_nothing_fails),
        cmocka_unit_test(test_nothing_holds),
        cmocka_unit_test(test_start_is_moved_into_the_bounds),
        cmocka_unit_test(test_steps_are_bounded),
        cmocka_unit_test(test_the_step_below_is_lower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
