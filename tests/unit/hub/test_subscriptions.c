/* What a subscriber is promised: replay, then live, in order; and that callbacks may do anything.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

static void test_names(void **state)
{
    (void)state;
    char longest[CHANNEL_NAME_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_true(hub_name_valid("AZaz09-_.:/@#,", 14));
    assert_true(hub_name_valid(longest, CHANNEL_NAME_MAX));
    assert_false(hub_name_valid(longest, CHANNEL_NAME_MAX + 1));
    assert_false(hub_name_valid("", 0));
    static const char wrong[] = " \t\r\n\"'\\%?&=+;<>{}[]|^~`!$()*\x7f\x80\xff";
    for (size_t i = 0; i < sizeof wrong; i++) /* with its NUL */
        assert_false(hub_name_valid(&wrong[i], 1));
}

static void test_homes_are_spread(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 4;
    struct world *world = world_open(&config);
    unsigned at[4] = {0};
    for (unsigned i = 0; i < 4000; i++) {
        char name[2] = {(char)('a' + i % 26), (char)('0' + i / 26 % 75)};
        at[home_of(hub_hash(world->set, name, 2), 4)]++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(at[i], 600, 1400);
    world_close(world);
}

static void test_live_in_one_call(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chains[2] = {HUB_NONE, HUB_NONE};
    for (unsigned shard = 0; shard < 2; shard++)
        world_subscribe(world, shard, &chains[shard], 10 + shard, name, since_now());
    world_settle(world);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_publish(world, 1, i, name, 10), 0);
    world_settle(world);

    for (unsigned i = 0; i < 3; i++) {
        const struct event *event = world_next(world, EVENT_PUBLISHED);
        assert_int_equal(event->err, 0);
        assert_int_equal(event->offset, i + 1);
    }
    world->seen = 0;
    for (unsigned shard = 0; shard < 2; shard++) {
        const struct event *event = world_next(world, EVENT_DELIVER);
        assert_int_equal(event->conn, 10 + event->shard);
        assert_int_equal(event->first, 1);
        assert_int_equal(event->count, 3);
    }
    assert_null(world_next(world, EVENT_DELIVER));
    assert_int_equal(world_stats(world, 0).published, 3);
    assert_int_equal(world_stats(world, 0).delivered, 3);
    assert_int_equal(world_stats(world, 1).delivered, 3);
    world_close(world);
}

/* In one turn: published 1 2, subscribed from the start, published 3. */
static void test_answer_cuts_the_batch(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    uint32_t chains[2] = {HUB_NONE, HUB_NONE};
    world_subscribe(world, 0, &chains[0], 0, "c", since_now());
    world_settle(world);
    world->seen = world->count;
    world_publish(world, 0, 0, "c", 1);
    world_publish(world, 0, 0, "c", 1);
    world_subscribe(world, 0, &chains[1], 1, "c", since_start());
    world_publish(world, 0, 0, "c", 1);
    hub_turn(world->hubs[0], 0);

    const struct event *event = world_next(world, EVENT_DELIVER);
    assert_int_equal(event->conn, 0);
    assert_int_equal(event->count, 2);
    event = world_next(world, EVENT_SUBSCRIBED);
    assert_int_equal(event->conn, 1);
    assert_int_equal(event->count, 2);
    assert_int_equal(event->offset, 2);
    for (unsigned conn = 0; conn < 2; conn++) { /* in the order in which they came */
        event = world_next(world, EVENT_DELIVER);
        assert_int_equal(event->conn, conn);
        assert_int_equal(event->first, 3);
        assert_int_equal(event->count, 1);
    }
    world_close(world);
}

static void test_replay_in_parts(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.reply_bytes_max = 25;
    struct world *world = world_open(&config);
    for (unsigned i = 0; i < 5; i++)
        world_publish(world, 0, 0, "c", i == 3 ? 100 : 10); /* 2 + 1 + 1 + 1: the large one alone */
    world_settle(world);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 0, &chain, 0, "c", since_start());
    world_settle(world);
    static const unsigned counts[] = {2, 1, 1, 1};
    uint64_t next = 1;
    for (unsigned i = 0; i < 4; i++) {
        const struct event *event = world_next(world, EVENT_SUBSCRIBED);
        assert_int_equal(event->first, next);
        assert_int_equal(event->count, counts[i]);
        assert_int_equal(event->more, i < 3);
        next += event->count;
        assert_int_equal(event->offset, next - 1);
    }
    world_close(world);
}

static uint32_t meddle_chain = HUB_NONE;

static void leave_when_asked(struct world *world, const struct event *event)
{
    if (event->kind == EVENT_SUBSCRIBED)
        hub_unsubscribe(world->hubs[0], &meddle_chain, event->subscription);
}

static void test_leave_within_parts(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.reply_bytes_max = 1;
    struct world *world = world_open(&config);
    for (unsigned i = 0; i < 5; i++)
        world_publish(world, 0, 0, "c", 10);
    world_settle(world);
    world_subscribe(world, 0, &meddle_chain, 0, "c", since_start());
    world->meddle = leave_when_asked;
    world_settle(world);
    assert_non_null(world_next(world, EVENT_SUBSCRIBED));
    assert_null(world_next(world, EVENT_SUBSCRIBED));
    assert_int_equal(world_stats(world, 0).subscriptions, 0);
    world_close(world);
}

static void test_taken_back_before_the_answer(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 1);
    uint32_t chain = HUB_NONE;
    uint32_t first = world_subscribe(world, 0, &chain, 1, name, since_now());
    hub_unsubscribe_all(world->hubs[0], &chain);
    assert_int_equal(chain, HUB_NONE);
    /* Its number is still on its way: nobody else gets it. */
    uint32_t second = world_subscribe(world, 0, &chain, 2, name, since_now());
    assert_int_not_equal(first, second);
    assert_int_equal(world_stats(world, 0).subscriptions, 2);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_SUBSCRIBED)->conn, 2);
    assert_null(world_next(world, EVENT_SUBSCRIBED));
    assert_int_equal(world_stats(world, 0).subscriptions, 1);
    world_close(world);
}

static void test_chain(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    struct hub *hub = world->hubs[0];
    uint32_t chain = HUB_NONE;
    uint32_t a = world_subscribe(world, 0, &chain, 0, "a", since_now());
    uint32_t b = world_subscribe(world, 0, &chain, 0, "b", since_now());
    uint32_t c = world_subscribe(world, 0, &chain, 0, "c", since_now());
    world_settle(world);
    assert_int_equal(chain, c);
    assert_int_equal(hub_next_of(hub, c), b);
    hub_unsubscribe(hub, &chain, b);
    assert_int_equal(hub_next_of(hub, c), a);
    assert_int_equal(hub_next_of(hub, a), HUB_NONE);
    hub_unsubscribe(hub, &chain, c);
    assert_int_equal(chain, a);
    hub_unsubscribe_all(hub, &chain);
    assert_int_equal(chain, HUB_NONE);
    assert_int_equal(world_stats(world, 0).subscriptions, 0);
    world_close(world);
}

enum {
    CROWD = 200
};

static uint32_t crowd[CROWD];

/* The first delivery ends everybody's subscription and makes a new one for each. */
static void revolution(struct world *world, const struct event *event)
{
    if (event->kind != EVENT_DELIVER)
        return;
    world->meddle = NULL;
    for (uint32_t i = 0; i < CROWD; i++) {
        hub_unsubscribe_all(world->hubs[0], &crowd[i]);
        world_subscribe(world, 0, &crowd[i], 1000 + i, "c", since_now());
    }
}

static void test_everybody_leaves_in_a_delivery(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd[i] = HUB_NONE;
        world_subscribe(world, 0, &crowd[i], i, "c", since_now());
    }
    world_settle(world);
    world->meddle = revolution;
    world_publish(world, 0, 0, "c", 1);
    world_settle(world);
    assert_non_null(world_next(world, EVENT_DELIVER));
    assert_null(world_next(world, EVENT_DELIVER));
    assert_int_equal(world_stats(world, 0).subscriptions, CROWD);

    world->seen = world->count;
    world_publish(world, 0, 0, "c", 1);
    world_settle(world);
    for (uint32_t i = 0; i < CROWD; i++)
        assert_int_equal(world_next(world, EVENT_DELIVER)->conn, 1000 + i);
    world_close(world);
}

/* 0 takes back itself and 1, which is most of the list, and subscribes twice: were their places
 * given away now, the walk would go on from the end and miss 2. */
static void replace_two(struct world *world, const struct event *event)
{
    if (event->kind != EVENT_DELIVER)
        return;
    world->meddle = NULL;
    for (uint32_t i = 0; i < 2; i++)
        hub_unsubscribe_all(world->hubs[0], &crowd[i]);
    for (uint32_t i = 0; i < 2; i++)
        world_subscribe(world, 0, &crowd[i], 1000 + i, "c", since_now());
}

static void test_the_walk_goes_on(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    for (uint32_t i = 0; i < 3; i++) {
        crowd[i] = HUB_NONE;
        world_subscribe(world, 0, &crowd[i], i, "c", since_now());
    }
    world_settle(world);
    world->meddle = replace_two;
    world_publish(world, 0, 0, "c", 1);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_DELIVER)->conn, 0);
    assert_int_equal(world_next(world, EVENT_DELIVER)->conn, 2);
    assert_null(world_next(world, EVENT_DELIVER));
    world_close(world);
}

/* Dead ones take no more than half as many places as the others, whatever the order of leaving. */
static void test_the_dead_are_freed(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    struct hub *hub = world->hubs[0];
    for (unsigned round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < CROWD; i++) {
            crowd[i] = HUB_NONE;
            world_subscribe(world, 0, &crowd[i], i, "c", since_now());
        }
        world_settle(world);
        struct channel_local *channel = local_find(hub, "c", 1, hub_hash(world->set, "c", 1));
        for (uint32_t i = 0; i < CROWD; i++) {
            hub_unsubscribe_all(hub, &crowd[i * 7 % CROWD]);
            assert_true(channel->dead <= channel->held / 2);
        }
        assert_int_equal(channel->first, HUB_NONE);
        assert_int_equal(channel->last, HUB_NONE);
        assert_true(hub->subscriptions.unused <= CROWD);
        world->count = 0;
    }
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_homes_are_spread),
        cmocka_unit_test(test_live_in_one_call),
        cmocka_unit_test(test_answer_cuts_the_batch),
        cmocka_unit_test(test_replay_in_parts),
        cmocka_unit_test(test_leave_within_parts),
        cmocka_unit_test(test_taken_back_before_the_answer),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_everybody_leaves_in_a_delivery),
        cmocka_unit_test(test_the_walk_goes_on),
        cmocka_unit_test(test_the_dead_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
