/* alarms: the heap against a plain table, from a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/alarms.c"

enum {
    IDS = 300,
    STEPS = 200000,
};

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % bound;
}

static void assert_is_a_heap(const struct alarms *alarms)
{
    for (uint32_t i = 0; i < alarms->count; i++) {
        assert_int_equal(alarms->places[alarms->heap[i].id], i + 1);
        if (i > 0)
            assert_true(alarms->heap[(i - 1) / BRANCHES].at_ns <= alarms->heap[i].at_ns);
    }
}

static int64_t first_of(const int64_t *model)
{
    int64_t first = INT64_MAX;
    for (uint32_t id = 0; id < IDS; id++)
        first = model[id] < first ? model[id] : first;
    return first;
}

static void the_heap_is_what_a_table_would_be(void **state)
{
    (void)state;
    struct alarms alarms;
    int64_t model[IDS];
    assert_int_equal(alarms_init(&alarms, IDS), 0);
    for (uint32_t id = 0; id < IDS; id++)
        model[id] = INT64_MAX;
    for (int step = 0; step < STEPS; step++) {
        uint32_t id = random_below(IDS), what = random_below(8);
        if (what < 4) {
            model[id] = random_below(1000);
            alarms_set(&alarms, id, model[id]);
        } else if (what < 6) {
            model[id] = INT64_MAX;
            alarms_cancel(&alarms, id);
        } else {
            int64_t now_ns = random_below(1000), first = first_of(model);
            uint32_t popped = alarms_pop(&alarms, now_ns);
            assert_int_equal(popped == ALARMS_NONE, first > now_ns);
            if (popped != ALARMS_NONE) {
                assert_int_equal(model[popped], first);
                model[popped] = INT64_MAX;
            }
        }
        assert_int_equal(alarms_at_ns(&alarms, id), model[id]);
        assert_int_equal(alarms_next_ns(&alarms), first_of(model));
        if (step % 64 == 0)
            assert_is_a_heap(&alarms);
    }
    alarms_done(&alarms);
}

static void they_go_off_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct alarms alarms;
    assert_int_equal(alarms_init(&alarms, IDS), 0);
    for (uint32_t id = 0; id < IDS; id++)
        alarms_set(&alarms, id, (int64_t)(id * 7 % IDS));
    for (int64_t at = 0; at < IDS; at++) {
        assert_int_equal(alarms_pop(&alarms, at - 1), ALARMS_NONE);
        uint32_t id = alarms_pop(&alarms, at);
        assert_int_equal(id * 7 % IDS, at);
    }
    assert_int_equal(alarms_next_ns(&alarms), INT64_MAX);
    alarms_done(&alarms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_is_what_a_table_would_be),
        cmocka_unit_test(they_go_off_in_the_order_of_their_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
