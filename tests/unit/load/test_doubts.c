#include "load/doubts.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_knows_those_that_were_added(void **state)
{
    struct doubts doubts = {0};
    (void)state;
    assert_false(doubts_have(&doubts, 1));
    doubts_add(&doubts, 3);
    doubts_add(&doubts, 7);
    assert_true(doubts_have(&doubts, 3));
    assert_true(doubts_have(&doubts, 7));
    assert_false(doubts_have(&doubts, 5));
    assert_false(doubts_have(&doubts, 8));
}

/* Numbers go round three channels: 4 is the second of the first, 5 of the second. */
static void test_counts_those_of_a_channel(void **state)
{
    struct doubts doubts = {0};
    (void)state;
    doubts_add(&doubts, 4);
    doubts_add(&doubts, 5);
    doubts_add(&doubts, 10);
    assert_int_equal(doubts_between(&doubts, 3, 0, 1, 5), 2);
    assert_int_equal(doubts_between(&doubts, 3, 0, 1, 4), 1);
    assert_int_equal(doubts_between(&doubts, 3, 0, 3, 4), 0);
    assert_int_equal(doubts_between(&doubts, 3, 1, 2, 3), 1);
    assert_int_equal(doubts_between(&doubts, 3, 2, 1, 100), 0);
    assert_int_equal(doubts_between(&doubts, 1, 0, 4, 11), 3);
}

static void test_forgets_what_is_too_many(void **state)
{
    struct doubts doubts = {0};
    (void)state;
    for (uint32_t number = 1; number <= DOUBTS_MAX + 1; number++)
        doubts_add(&doubts, number);
    assert_int_equal(doubts.count, DOUBTS_MAX);
    assert_true(doubts_have(&doubts, DOUBTS_MAX));
    assert_false(doubts_have(&doubts, DOUBTS_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_knows_those_that_were_added),
        cmocka_unit_test(test_counts_those_of_a_channel),
        cmocka_unit_test(test_forgets_what_is_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
