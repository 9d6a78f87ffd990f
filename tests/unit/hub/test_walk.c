/* A walk over a channel's subscribers that takes several turns: each gets everything once and in
 * order, whoever comes and goes meanwhile. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    VISITS = 10,
    READERS = 35,
    LATE = 100, /* the connection that comes later */
};

struct crowd {
    struct world *world;
    uint32_t chains[READERS];
    uint32_t subscriptions[READERS];
};

static struct crowd crowd_open(unsigned shards, unsigned home)
{
    struct hub_config config = world_config();
    config.turn_visits = VISITS;
    config.shards = shards;
    struct crowd crowd = {.world = world_open(&config)};
    const char *name = world_name(crowd.world, home);
    for (uint32_t i = 0; i < READERS; i++) {
        crowd.chains[i] = HUB_NONE;
        crowd.subscriptions[i] =
            world_subscribe(crowd.world, 0, &crowd.chains[i], i, name, since_now());
    }
    world_settle(crowd.world);
    crowd.world->seen = crowd.world->count;
    return crowd;
}

static void say(struct crowd *crowd)
{
    assert_int_equal(world_publish(crowd->world, 0, 0, world_name(crowd->world, 0), 1), 0);
}

/* The next delivery, which must be of these messages. */
static void expect(struct crowd *crowd, uint32_t conn, uint64_t first, unsigned count)
{
    const struct event *event = world_next(crowd->world, EVENT_DELIVER);
    assert_non_null(event);
    assert_int_equal(event->conn, conn);
    assert_int_equal(event->first, first);
    assert_int_equal(event->count, count);
}

static void test_a_turn_visits_so_many(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    struct hub *hub = crowd.world->hubs[0];
    say(&crowd);
    for (unsigned turn = 1; turn <= 3; turn++) {
        assert_true(hub_turn(hub, 0));
        assert_int_equal(world_stats(crowd.world, 0).delivered, turn * VISITS);
        assert_false(hub_sleep(hub));
    }
    assert_false(hub_turn(hub, 0));
    for (uint32_t i = 0; i < READERS; i++)
        expect(&crowd, i, 1, 1);
    assert_null(world_next(crowd.world, EVENT_DELIVER));
    world_close(crowd.world);
}

static void test_messages_meanwhile_come_behind(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    say(&crowd);
    assert_true(hub_turn(crowd.world->hubs[0], 0));
    say(&crowd);
    assert_true(hub_turn(crowd.world->hubs[0], 0));
    say(&crowd);
    world_settle(crowd.world);
    for (uint32_t i = 0; i < READERS; i++)
        expect(&crowd, i, 1, 1);
    for (uint32_t i = 0; i < READERS; i++)
        expect(&crowd, i, 2, 2);
    world_close(crowd.world);
}

static void test_a_large_message_counts_for_more(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    assert_int_equal(world_publish(crowd.world, 0, 0, world_name(crowd.world, 0), VISIT_BYTES), 0);
    assert_true(hub_turn(crowd.world->hubs[0], 0));
    assert_int_equal(world_stats(crowd.world, 0).delivered, VISITS / 2);
    world_settle(crowd.world);
    assert_int_equal(world_stats(crowd.world, 0).delivered, READERS);
    world_close(crowd.world);
}

/* One that has been visited, the next one, one further on and the last. */
static void test_some_leave_in_the_middle(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    static const uint32_t leave[] = {3, VISITS, 20, READERS - 1};
    say(&crowd);
    assert_true(hub_turn(crowd.world->hubs[0], 0));
    for (unsigned i = 0; i < sizeof leave / sizeof leave[0]; i++)
        hub_unsubscribe_all(crowd.world->hubs[0], &crowd.chains[leave[i]]);
    world_settle(crowd.world);
    for (uint32_t i = 0; i < READERS; i++)
        if (i != VISITS && i != 20 && i != READERS - 1)
            expect(&crowd, i, 1, 1);
    assert_null(world_next(crowd.world, EVENT_DELIVER));
    world_close(crowd.world);
}

static void test_all_leave_in_the_middle(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    say(&crowd);
    assert_true(hub_turn(crowd.world->hubs[0], 0));
    for (uint32_t i = 0; i < READERS; i++)
        hub_unsubscribe_all(crowd.world->hubs[0], &crowd.chains[i]);
    world_pass(crowd.world, crowd.world->config.linger_ns + 1);
    assert_int_equal(world_stats(crowd.world, 0).delivered, VISITS);
    assert_int_equal(world_stats(crowd.world, 0).subscriptions, 0);
    /* Its place is free for another, and so are those of the subscriptions. */
    uint32_t chain = HUB_NONE;
    world_subscribe(crowd.world, 0, &chain, LATE, world_name(crowd.world, 0), since_start());
    world_settle(crowd.world);
    assert_int_equal(world_next(crowd.world, EVENT_SUBSCRIBED)->count, 1);
    world_close(crowd.world);
}

/* Between the turns some have the message and some not: no position is told. */
static void test_nobody_is_told_a_position_meanwhile(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(1, 0);
    struct hub *hub = crowd.world->hubs[0];
    uint64_t epoch, offset;
    assert_true(hub_position(hub, crowd.subscriptions[READERS - 1], &epoch, &offset));
    assert_int_equal(offset, 0);
    say(&crowd);
    assert_true(hub_turn(hub, 0));
    assert_false(hub_position(hub, crowd.subscriptions[READERS - 1], &epoch, &offset));
    world_settle(crowd.world);
    assert_true(hub_position(hub, crowd.subscriptions[READERS - 1], &epoch, &offset));
    assert_int_equal(offset, 1);
    world_close(crowd.world);
}

/* What the newcomer has from its replay it does not get again, and what is live misses nothing. */
static void newcomer(unsigned shards, unsigned home)
{
    struct crowd crowd = crowd_open(shards, home);
    struct world *world = crowd.world;
    const char *name = world_name(world, home);
    uint32_t chain = HUB_NONE;
    for (unsigned round = 0; round < 3; round++) {
        world_publish(world, 0, 0, name, 1);
        if (round == 1)
            world_subscribe(world, 0, &chain, LATE, name, since_start());
    }
    world_settle(world);
    uint64_t reached[LATE + 1] = {0};
    unsigned answered = 0;
    for (unsigned i = world->seen; i < world->count; i++) {
        const struct event *event = &world->events[i];
        bool answer = event->kind == EVENT_SUBSCRIBED;
        if (!answer && event->kind != EVENT_DELIVER)
            continue;
        answered += answer;
        assert_int_equal(event->first, reached[event->conn] + 1);
        reached[event->conn] += event->count;
    }
    assert_int_equal(answered, 1);
    for (uint32_t i = 0; i < READERS; i++)
        assert_int_equal(reached[i], 3);
    assert_int_equal(reached[LATE], 3);
    world_close(world);
}

static void test_an_answer_waits_for_the_walk(void **state)
{
    (void)state;
    newcomer(1, 0);
    newcomer(2, 1);
}

static void test_a_hub_goes_in_the_middle(void **state)
{
    (void)state;
    struct crowd crowd = crowd_open(2, 1);
    uint32_t chain = HUB_NONE;
    const char *name = world_name(crowd.world, 1);
    world_publish(crowd.world, 0, 0, name, 1);
    world_subscribe(crowd.world, 0, &chain, LATE, name, since_now());
    world_publish(crowd.world, 0, 0, name, 1);
    for (unsigned turn = 0; turn < 3; turn++)
        for (unsigned shard = 0; shard < 2; shard++)
            hub_turn(crowd.world->hubs[shard], 0);
    assert_true(world_stats(crowd.world, 0).delivered < READERS);
    world_close(crowd.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_visits_so_many),
        cmocka_unit_test(test_messages_meanwhile_come_behind),
        cmocka_unit_test(test_a_large_message_counts_for_more),
        cmocka_unit_test(test_some_leave_in_the_middle),
        cmocka_unit_test(test_all_leave_in_the_middle),
        cmocka_unit_test(test_nobody_is_told_a_position_meanwhile),
        cmocka_unit_test(test_an_answer_waits_for_the_walk),
        cmocka_unit_test(test_a_hub_goes_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
