/* The witness of a hub set: what it is told, once, and what is refused while it is full. */
#include "hub/witness.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

static struct {
    struct hub_witness witness;
    unsigned count[HUB_EVENTS];
    uint64_t offset;
} seen;

static void told(struct hub_witness *witness, struct hub *hub,
                 const struct hub_happening *happening)
{
    (void)hub;
    assert_ptr_equal(witness, &seen.witness);
    seen.count[happening->event]++;
    seen.offset = happening->offset;
}

static struct world *watched(uint32_t wants)
{
    struct hub_config config = world_config();
    config.shards = 3;
    config.linger_ns = 100;
    memset(&seen, 0, sizeof seen);
    seen.witness.told = told;
    seen.witness.wants = wants;
    config.witness = &seen.witness;
    return world_open(&config);
}

/* Subscribers of two shards of a channel that is at home in a third: the first, and the last. */
static void test_occupied_and_vacated(void **state)
{
    (void)state;
    struct world *world = watched(1u << HUB_OCCUPIED | 1u << HUB_VACATED);
    const char *name = world_name(world, 2);
    uint32_t chains[2] = {HUB_NONE, HUB_NONE};
    for (unsigned shard = 0; shard < 2; shard++) {
        world_subscribe(world, shard, &chains[shard], 1, name, since_now());
        world_settle(world);
    }
    assert_int_equal(seen.count[HUB_OCCUPIED], 1);
    hub_unsubscribe_all(world->hubs[0], &chains[0]);
    world_pass(world, 1000);
    assert_int_equal(seen.count[HUB_VACATED], 0);
    hub_unsubscribe_all(world->hubs[1], &chains[1]);
    world_pass(world, 99);
    assert_int_equal(seen.count[HUB_VACATED], 0);
    world_pass(world, 1);
    assert_int_equal(seen.count[HUB_VACATED], 1);
    world_subscribe(world, 1, &chains[1], 1, name, since_now());
    world_settle(world);
    assert_int_equal(seen.count[HUB_OCCUPIED], 2);
    assert_int_equal(seen.count[HUB_PUBLISHED], 0);
    world_close(world);
}

static void test_refused_while_it_is_full(void **state)
{
    (void)state;
    struct world *world = watched(1u << HUB_PUBLISHED);
    const char *name = world_name(world, 1);
    seen.witness.full = true;
    assert_int_equal(world_publish(world, 0, 7, name, 10), 0);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, -EDQUOT);
    assert_int_equal(seen.count[HUB_PUBLISHED], 0);
    seen.witness.wants = 1u << HUB_VACATED; /* nobody wants to be told of messages */
    assert_int_equal(world_publish(world, 0, 7, name, 10), 0);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, 0);
    seen.witness.wants = 1u << HUB_PUBLISHED;
    seen.witness.full = false;
    assert_int_equal(world_publish(world, 0, 7, name, 10), 0);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->offset, 2);
    assert_int_equal(seen.count[HUB_PUBLISHED], 1);
    assert_int_equal(seen.offset, 2);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_occupied_and_vacated),
        cmocka_unit_test(test_refused_while_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
