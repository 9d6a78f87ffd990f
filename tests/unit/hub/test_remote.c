/* Nodes that share a fake engine, under seeded schedules. Give it a seed to run only that one. */
#include "remote_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    SEEDS = 120,
    STEPS = 3000,
};

static uint64_t only;

static void run(uint64_t seed, struct rw_coverage *coverage)
{
    struct rw_world *world = rw_open(seed, coverage);
    for (unsigned i = 0; i < STEPS; i++) {
        rw_step(world);
        if (i % 1000 == 999)
            rw_rest(world);
    }
    rw_close(world);
}

static void test_nodes(void **state)
{
    (void)state;
    struct rw_coverage coverage = {0};
    uint64_t first = only ? only : 1, last = only ? only : SEEDS;
    for (uint64_t seed = first; seed <= last; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        run(seed, &coverage);
    }
    if (only)
        return;
    assert_true(coverage.delivered > 0 && coverage.recovered > 0 && coverage.unrecoverable > 0);
    assert_true(coverage.lost > 0 && coverage.gaps > 0 && coverage.filled > 0);
    assert_true(coverage.duplicates > 0 && coverage.refused > 0 && coverage.unknown > 0);
    assert_true(coverage.removed > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        only = strtoull(argv[1], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
