#include "load/flight.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

struct world {
    struct flights *flights;
    struct histogram *corrected;
    struct histogram *uncorrected;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->flights = calloc(1, sizeof *world->flights);
    world->corrected = histogram_create();
    world->uncorrected = histogram_create();
    assert_true(world->flights && world->corrected && world->uncorrected);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    histogram_free(world->corrected);
    histogram_free(world->uncorrected);
    free(world->flights);
    free(world);
    return 0;
}

static void settle(struct world *world, int64_t now_ns)
{
    flights_settle(world->flights, now_ns, world->corrected, world->uncorrected);
}

static void note(struct world *world, uint32_t number, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        assert_true(flights_note(world->flights, number));
}

static void test_oldest(void **state)
{
    struct world *world = *state;
    assert_true(flights_oldest_ns(world->flights) == INT64_MAX);
    for (uint32_t number = 1; number <= 3 * LOAD_FLIGHTS; number++) {
        flights_launch(world->flights, number, 1, number * 10, number * 10);
        note(world, number, number % 5 != 0);
        settle(world, number * 10);
        uint32_t kept = number > LOAD_FLIGHTS ? number - LOAD_FLIGHTS + 1 : 1;
        int64_t oldest = number < 5 ? INT64_MAX : (int64_t)((kept + 4) / 5 * 5) * 10;
        assert_true(flights_oldest_ns(world->flights) == oldest);
    }
    flights_give_up(world->flights);
    assert_true(flights_oldest_ns(world->flights) == INT64_MAX);
}

/* Two messages cross; each is complete with its last delivery, and both latencies are recorded. */
static void test_complete(void **state)
{
    struct world *world = *state;
    flights_launch(world->flights, 1, 3, 100, 150);
    flights_launch(world->flights, 2, 3, 200, 200);
    note(world, 1, 2);
    note(world, 2, 1);
    settle(world, 300);
    assert_int_equal(world->flights->open, 2);
    note(world, 2, 2);
    note(world, 1, 1);
    assert_int_equal(world->flights->open, 2);
    settle(world, 400);
    assert_int_equal(world->flights->open, 0);
    assert_int_equal(histogram_count(world->corrected), 6);
    assert_int_equal(histogram_min(world->corrected), 100);
    assert_int_equal(histogram_max(world->corrected), 300);
    assert_int_equal(histogram_max(world->uncorrected), 250);
    assert_int_equal(world->flights->incomplete, 0);
}

static void test_nobody_to_reach(void **state)
{
    struct world *world = *state;
    flights_launch(world->flights, 1, 0, 1, 1);
    assert_int_equal(world->flights->open, 0);
    note(world, 1, 1);
    settle(world, 5);
    assert_int_equal(world->flights->open, 0);
}

/* A second copy, or one that nobody waits for any longer, completes nothing twice. */
static void test_too_many(void **state)
{
    struct world *world = *state;
    flights_launch(world->flights, 1, 1, 1, 1);
    flights_launch(world->flights, 2, 1, 1, 1);
    note(world, 1, 3);
    settle(world, 5);
    assert_int_equal(world->flights->open, 1);
    assert_false(flights_note(world->flights, 3));
    assert_false(flights_note(world->flights, 1 + LOAD_FLIGHTS));
}

static void test_leave(void **state)
{
    struct world *world = *state;
    for (uint32_t number = 1; number <= 3; number++)
        flights_launch(world->flights, number, 2, 1, 1);
    note(world, 1, 1);
    note(world, 2, 1);
    settle(world, 2);
    /* Somebody goes who had received 1, but neither 2 nor 3. */
    flights_leave(world->flights, 2, 1);
    assert_int_equal(world->flights->open, 2);
    note(world, 1, 1);
    note(world, 3, 1);
    settle(world, 3);
    assert_int_equal(world->flights->open, 0);
    assert_int_equal(world->flights->missing, 0);
}

static void test_give_up(void **state)
{
    struct world *world = *state;
    flights_launch(world->flights, 1, 5, 1, 1);
    flights_launch(world->flights, 2, 5, 1, 1);
    note(world, 1, 5);
    note(world, 2, 2);
    settle(world, 2);
    flights_give_up(world->flights);
    assert_int_equal(world->flights->open, 0);
    assert_int_equal(world->flights->incomplete, 1);
    assert_int_equal(world->flights->missing, 3);
}

/* A message whose place is needed is given up. */
static void test_window(void **state)
{
    struct world *world = *state;
    for (uint32_t number = 1; number <= LOAD_FLIGHTS + 10; number++)
        flights_launch(world->flights, number, 2, 1, 1);
    assert_int_equal(world->flights->open, LOAD_FLIGHTS);
    assert_int_equal(world->flights->incomplete, 10);
    assert_int_equal(world->flights->missing, 20);
    assert_false(flights_note(world->flights, 10));
    assert_true(flights_note(world->flights, 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_oldest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_to_reach, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
