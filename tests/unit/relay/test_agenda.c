#include "relay/agenda.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
    PARTIES = 64,
};

/* Takes away the first and returns its time. */
static int64_t pop(struct agenda *agenda)
{
    int64_t time_ns = agenda_next_ns(agenda);
    agenda_set(agenda, agenda_first(agenda), AGENDA_NEVER);
    return time_ns;
}

static void test_earliest_first(void **state)
{
    struct agenda agenda;
    (void)state;
    assert_int_equal(agenda_init(&agenda, PARTIES), 0);
    assert_int_equal(agenda_next_ns(&agenda), AGENDA_NEVER);
    for (uint32_t i = 0; i < PARTIES; i++)
        agenda_set(&agenda, i, (i * 37) % PARTIES);
    for (int64_t time_ns = 0; time_ns < PARTIES; time_ns++)
        assert_int_equal(pop(&agenda), time_ns);
    assert_int_equal(agenda_next_ns(&agenda), AGENDA_NEVER);
    agenda_done(&agenda);
}

static void test_change_of_time(void **state)
{
    struct agenda agenda;
    (void)state;
    assert_int_equal(agenda_init(&agenda, PARTIES), 0);
    for (uint32_t i = 0; i < PARTIES; i++)
        agenda_set(&agenda, i, 1000 + i);
    agenda_set(&agenda, 40, 5);
    assert_int_equal(agenda_first(&agenda), 40);
    agenda_set(&agenda, 40, 5000);
    assert_int_equal(agenda_first(&agenda), 0);
    agenda_set(&agenda, 0, AGENDA_NEVER);
    agenda_set(&agenda, 0, AGENDA_NEVER); /* again: nothing to take away */
    assert_int_equal(agenda_first(&agenda), 1);
    agenda_done(&agenda);
}

/* Any order of settings and removals against a plain search for the least. */
static void test_against_a_search(void **state)
{
    struct agenda agenda;
    int64_t times[PARTIES];
    uint64_t random = 1;
    (void)state;
    assert_int_equal(agenda_init(&agenda, PARTIES), 0);
    for (int i = 0; i < PARTIES; i++)
        times[i] = AGENDA_NEVER;
    for (int step = 0; step < 20000; step++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t party = (uint32_t)(random >> 40) % PARTIES;
        times[party] = random >> 61 == 0 ? AGENDA_NEVER : (int64_t)(random >> 33 & 0xFFFF);
        agenda_set(&agenda, party, times[party]);
        int64_t least = AGENDA_NEVER;
        for (int i = 0; i < PARTIES; i++)
            least = times[i] < least ? times[i] : least;
        assert_int_equal(agenda_next_ns(&agenda), least);
    }
    agenda_done(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_earliest_first),
        cmocka_unit_test(test_change_of_time),
        cmocka_unit_test(test_against_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
