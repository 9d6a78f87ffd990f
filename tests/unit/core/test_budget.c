/* Who goes when a budget is spent. */
#include "core/budget.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

enum {
    HOLDERS = 100,
};

static void whoever_holds_nothing_does_not_go(void **state)
{
    (void)state;
    struct budget budget = {0};
    struct charge charge = {0};
    assert_int_equal(budget_worst(&budget, 0), BUDGET_NONE);
    budget_set(&budget, &charge, 7, 100, 0);
    assert_int_equal(budget.bytes, 100);
    assert_int_equal(budget_worst(&budget, 1), 7);
    budget_set(&budget, &charge, 7, 0, 2);
    assert_int_equal(budget.bytes, 0);
    assert_int_equal(budget_worst(&budget, 3), BUDGET_NONE);
    budget_clear(&budget, &charge);
}

static void most_for_longest_goes(void **state)
{
    (void)state;
    struct budget budget = {0};
    struct charge old = {0}, large = {0};
    budget_set(&budget, &old, 1, 1000, 0);
    budget_set(&budget, &large, 2, 1000000, 2000 * MS);
    assert_int_equal(budget_worst(&budget, 2000 * MS), 1);
    assert_int_equal(budget_worst(&budget, 2003 * MS), 2);
    assert_int_equal(budget_worst(&budget, 30000 * MS), 2);
}

/* Of those who hold as much, the one that has for longest; to hold more within the same order of
 * magnitude begins no new time, and to hold less begins one. */
static void time_counts_from_the_class(void **state)
{
    (void)state;
    struct budget budget = {0};
    struct charge first = {0}, second = {0};
    budget_set(&budget, &first, 1, 1024, 0);
    budget_set(&budget, &second, 2, 1024, 10 * MS);
    budget_set(&budget, &first, 1, 2000, 20 * MS);
    assert_int_equal(budget_worst(&budget, 30 * MS), 1);
    budget_set(&budget, &first, 1, 900, 40 * MS);
    assert_int_equal(budget_worst(&budget, 50 * MS), 2);
    budget_set(&budget, &first, 1, 1024, 60 * MS);
    assert_int_equal(budget_worst(&budget, 70 * MS), 2);
    budget_clear(&budget, &first);
    assert_int_equal(budget.bytes, 1024);
    budget_clear(&budget, &second);
}

static void all_go_in_turn_and_nothing_is_left(void **state)
{
    (void)state;
    struct budget budget = {0};
    struct charge charges[HOLDERS] = {0};
    for (uint32_t i = 0; i < HOLDERS; i++)
        budget_set(&budget, &charges[i], i, UINT64_C(1) << i % 58, i);
    for (uint32_t i = 0; i < HOLDERS; i++) {
        uint32_t worst = budget_worst(&budget, 1000);
        assert_int_not_equal(worst, BUDGET_NONE);
        assert_true(charges[worst].bytes > 0);
        budget_clear(&budget, &charges[worst]);
    }
    assert_int_equal(budget_worst(&budget, 1000), BUDGET_NONE);
    assert_int_equal(budget.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_holds_nothing_does_not_go),
        cmocka_unit_test(most_for_longest_goes),
        cmocka_unit_test(time_counts_from_the_class),
        cmocka_unit_test(all_go_in_turn_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
