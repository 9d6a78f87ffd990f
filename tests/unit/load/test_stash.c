#include "load/stash.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    COUNT = 5,
    BYTES = 100,
};

static void test_bound(void **state)
{
    (void)state;
    struct stashes stashes;
    uint32_t taken[COUNT];
    assert_int_equal(stashes_init(&stashes, COUNT, BYTES), 0);
    for (int i = 0; i < COUNT; i++) {
        taken[i] = stash_take(&stashes);
        assert_true(taken[i] != STASH_NONE);
        /* Each has its bytes to itself. */
        memset(stash_at(&stashes, taken[i])->bytes, 'a' + i, BYTES);
    }
    assert_true(stash_take(&stashes) == STASH_NONE);
    assert_int_equal(stashes.used, COUNT);
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < BYTES; k++)
            assert_int_equal(stash_at(&stashes, taken[i])->bytes[k], 'a' + i);
    stash_give(&stashes, taken[3]);
    assert_int_equal(stash_take(&stashes), taken[3]);
    assert_true(stash_take(&stashes) == STASH_NONE);
    stashes_done(&stashes);
}

/* What is given back is taken again before a fresh one is touched. */
static void test_few_are_touched(void **state)
{
    (void)state;
    struct stashes stashes;
    assert_int_equal(stashes_init(&stashes, COUNT, BYTES), 0);
    for (int i = 0; i < 10 * COUNT; i++) {
        uint32_t one = stash_take(&stashes), two = stash_take(&stashes);
        assert_true(one != two && one < 2 && two < 2);
        stash_give(&stashes, one);
        stash_give(&stashes, two);
    }
    assert_int_equal(stashes.used, 0);
    assert_int_equal(stashes.fresh, 2);
    stashes_done(&stashes);
    stashes_done(&stashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_few_are_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
