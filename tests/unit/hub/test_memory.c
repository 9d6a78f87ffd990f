/* Whatever allocation finds no memory, whoever asked is answered: its place in the way back was
 * there before the request was taken. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "failing_alloc.h"

enum {
    REQUESTS = 60, /* of each kind: many more than fit into a lane */
    ROUNDS_MAX = 1000,
};

static unsigned count_of(const struct world *world, enum event_kind kind, unsigned *ret_errors)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world->count; i++) {
        count += world->events[i].kind == kind;
        *ret_errors += world->events[i].kind == kind && world->events[i].err < 0;
    }
    return count;
}

/* Asks a channel at home on another shard, with one allocation that fails. Returns whether there
 * was one. */
static bool round_trip(unsigned n, unsigned *errors)
{
    const struct hub_since start = {.from = HUB_FROM_START};
    struct hub_config config = world_config();
    config.shards = 2;
    config.lane_slots = 2;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 1, &chain, 1, name, start);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_int_equal(world_publish(world, 1, 2, name, 10), 0);
        assert_int_equal(world_read(world, 1, 3, name, start), 0);
    }
    failing_alloc_arm(n);
    failing_alloc.inside = true;
    world_settle(world);
    failing_alloc.inside = false;
    bool failed = failing_alloc_disarm();
    assert_int_equal(count_of(world, EVENT_PUBLISHED, errors), REQUESTS);
    assert_int_equal(count_of(world, EVENT_READ, errors), REQUESTS);
    assert_true(count_of(world, EVENT_SUBSCRIBED, errors) > 0);
    world_close(world);
    return failed;
}

static void everybody_is_answered(void **state)
{
    (void)state;
    unsigned errors = 0, n = 0;
    while (round_trip(n, &errors))
        assert_true(++n < ROUNDS_MAX);
    assert_true(n > REQUESTS);
    assert_in_range(errors, 1, n); /* one each, and none where there was another place */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
