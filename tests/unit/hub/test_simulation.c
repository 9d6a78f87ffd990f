/* Every live subscriber gets every message of its channel exactly once, in order, from the position
 * that its answer names; `recovered` is the truth; every call is answered, or given back when
 * nobody is left to hear it; nothing is left behind: under any schedule, at every bound, whatever
 * the callbacks do. A failure names its seed: run with it to see it again. */
#include "simulation.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    SEEDS = 200,
    STEPS = 3000,
    STEPS_TO_REST = 600, /* about */
};

static uint64_t running; /* the seed, for the message of a failure */

static void run(uint64_t seed, struct coverage *coverage)
{
    running = seed;
    struct sim *sim = sim_open(seed, coverage);
    for (unsigned step = 0; step < STEPS; step++) {
        sim_step(sim);
        if (sim_random(sim, STEPS_TO_REST) == 0) {
            sim->calm = true;
            sim_rest(sim);
            sim->calm = false;
        }
    }
    /* Every other one is cut off in the middle: what is under way is given back too. */
    if (seed % 2) {
        sim->calm = true;
        sim_rest(sim);
        sim_wind_down(sim);
    }
    sim_close(sim);
}

static int name_the_seed(void **state)
{
    (void)state;
    if (running != UINT64_MAX)
        fprintf(stderr, "failed with seed %" PRIu64 "\n", running);
    return 0;
}

static void test_all_seeds(void **state)
{
    (void)state;
    struct coverage seen = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, &seen);
    running = UINT64_MAX;

    /* Had one of these not happened, the rest would prove less than it says. */
    assert_true(seen.published > 0);
    assert_true(seen.delivered > 0);
    assert_true(seen.recovered > 0);
    assert_true(seen.unrecoverable > 0);
    assert_true(seen.lane_full > 0);
    assert_true(seen.refused > 0);
    assert_true(seen.refused_late > 0);
    assert_true(seen.parts > 0);
    assert_true(seen.mores > 0);
    assert_true(seen.wakes > 0);
    assert_true(seen.starved > 0);
    assert_true(seen.kept_starts > 0);
    assert_true(seen.called > 0);
    assert_true(seen.calls_refused > 0);
    assert_true(seen.dropped > 0);
    assert_true(seen.rung > 0);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        struct coverage seen = {0};
        run(strtoull(argv[1], NULL, 10), &seen);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_all_seeds, name_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
