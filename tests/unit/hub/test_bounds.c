/* What happens at each bound: history, channels, subscriptions, lanes, time. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <stdio.h>

/* Reads and returns the answer. */
static const struct event *ask(struct world *world, const char *name, struct hub_since since)
{
    world->seen = world->count;
    assert_int_equal(world_read(world, 0, 1, name, since), 0);
    world_settle(world);
    const struct event *event = world_next(world, EVENT_READ);
    assert_non_null(event);
    return event;
}

static void publish(struct world *world, const char *name, unsigned count, size_t bytes)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(world_publish(world, 0, 0, name, bytes), 0);
    world_settle(world);
}

static void test_positions(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.history_messages_max = 4;
    struct world *world = world_open(&config);
    publish(world, "c", 10, 1); /* 7 8 9 10 are kept */
    uint64_t epoch = ask(world, "c", since_now())->epoch;
    assert_int_not_equal(epoch, 0);

    const struct event *event = ask(world, "c", since_position(epoch, 6));
    assert_true(event->recovered);
    assert_int_equal(event->first, 7);
    assert_int_equal(event->count, 4);
    event = ask(world, "c", since_position(epoch, 10));
    assert_true(event->recovered);
    assert_int_equal(event->count, 0);
    event = ask(world, "c", since_start());
    assert_false(event->recovered); /* no position was asked for */
    assert_int_equal(event->count, 4);

    const struct hub_since lost[] = {
        since_position(epoch, 5),          since_position(epoch, 0),     since_position(epoch, 11),
        since_position(epoch, UINT64_MAX), since_position(epoch + 1, 8), since_position(0, 0),
    };
    for (unsigned i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        event = ask(world, "c", lost[i]);
        assert_false(event->recovered);
        assert_int_equal(event->count, 0);
        assert_int_equal(event->epoch, epoch);
        assert_int_equal(event->offset, 10);
    }
    assert_int_equal(world_stats(world, 0).recovered, 2);
    assert_int_equal(world_stats(world, 0).unrecoverable, 6);
    world_close(world);
}

static void test_read_in_parts(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.reply_bytes_max = 30;
    struct world *world = world_open(&config);
    publish(world, "c", 7, 10);
    const struct event *event = ask(world, "c", since_start());
    uint64_t next = 1;
    for (;; event = ask(world, "c", since_position(event->epoch, event->offset))) {
        assert_int_equal(event->first, next);
        next += event->count;
        if (!event->more)
            break;
        assert_int_equal(event->count, 3);
    }
    assert_int_equal(next, 8);
    world_close(world);
}

static void test_history_bytes(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    uint64_t cost = sizeof(struct message) + 1 + 100;
    config.history_bytes_max = 3 * cost;
    struct world *world = world_open(&config);
    publish(world, "c", 5, 100);
    assert_int_equal(ask(world, "c", since_start())->first, 3);
    assert_int_equal(world_stats(world, 0).history_bytes, 3 * cost);
    publish(world, "c", 1, 4000); /* one is kept however large */
    const struct event *event = ask(world, "c", since_start());
    assert_int_equal(event->first, 6);
    assert_int_equal(event->count, 1);
    assert_int_equal(world_stats(world, 0).history_messages, 1);
    world_close(world);
}

static void test_no_history(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.history_messages_max = 0;
    struct world *world = world_open(&config);
    publish(world, "c", 2, 1);
    const struct event *event = ask(world, "c", since_start());
    assert_int_equal(event->count, 0);
    assert_int_equal(event->offset, 2);
    assert_true(ask(world, "c", since_position(event->epoch, 2))->recovered);
    assert_false(ask(world, "c", since_position(event->epoch, 1))->recovered);
    world_close(world);
}

static void test_total_takes_from_the_quietest(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    uint64_t cost = sizeof(struct message) + 1 + 100;
    config.history_total_bytes_max = 6 * cost;
    struct world *world = world_open(&config);
    publish(world, "a", 3, 100);
    publish(world, "b", 3, 100);
    publish(world, "a", 1, 100); /* a was quietest until this one, which goes for its own */
    assert_int_equal(ask(world, "a", since_start())->count, 4);
    assert_int_equal(ask(world, "b", since_start())->first, 2);
    publish(world, "a", 2, 100);
    assert_int_equal(ask(world, "a", since_start())->count, 6);
    assert_int_equal(ask(world, "b", since_start())->count, 0);
    publish(world, "b", 1, 100);
    assert_int_equal(ask(world, "a", since_start())->first, 2);
    assert_int_equal(world_stats(world, 0).history_bytes, 6 * cost);
    world_close(world);
}

static void test_age(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.history_age_ns = 100;
    config.linger_ns = 1000000;
    struct world *world = world_open(&config);
    publish(world, "c", 1, 1); /* until 100 */
    world_pass(world, 60);
    publish(world, "c", 2, 1); /* until 160 */
    world_pass(world, 39);
    assert_int_equal(ask(world, "c", since_start())->count, 3);
    world_pass(world, 1);
    const struct event *event = ask(world, "c", since_start());
    assert_int_equal(event->first, 2);
    assert_int_equal(event->count, 2);
    assert_false(ask(world, "c", since_position(event->epoch, 0))->recovered);
    /* Nobody asks: the sweep finds it. */
    world_pass(world, 59);
    assert_int_equal(world_stats(world, 0).history_messages, 2);
    world_pass(world, 1);
    assert_int_equal(world_stats(world, 0).history_messages, 0);
    assert_int_equal(world_stats(world, 0).history_bytes, 0);
    assert_int_equal(world_stats(world, 0).channels, 1);
    assert_true(ask(world, "c", since_position(event->epoch, 3))->recovered);
    world_close(world);
}

static void test_linger(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    config.linger_ns = 100;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 1);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 0, &chain, 1, name, since_now());
    world_settle(world);
    uint64_t epoch = world_next(world, EVENT_SUBSCRIBED)->epoch;
    world_pass(world, 1000); /* it has a subscriber */
    assert_int_equal(world_stats(world, 1).channels, 1);

    hub_unsubscribe_all(world->hubs[0], &chain);
    world_pass(world, 99);
    assert_non_null(table_any(&world->hubs[0]->local.table, &(unsigned){0}));
    /* Who is back in time finds the same numbering, and time starts anew. */
    world_subscribe(world, 0, &chain, 1, name, since_position(epoch, 0));
    world_settle(world);
    assert_true(world_next(world, EVENT_SUBSCRIBED)->recovered);
    hub_unsubscribe_all(world->hubs[0], &chain);
    world_pass(world, 100);
    assert_null(table_any(&world->hubs[0]->local.table, &(unsigned){0}));
    assert_int_equal(world_stats(world, 1).channels, 1);
    world_pass(world, 100);
    assert_int_equal(world_stats(world, 1).channels, 0);

    world_subscribe(world, 0, &chain, 1, name, since_position(epoch, 0));
    world_settle(world);
    const struct event *event = world_next(world, EVENT_SUBSCRIBED);
    assert_false(event->recovered);
    assert_true(event->epoch != epoch);
    world_close(world);
}

static void test_subscriptions_max(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.subscriptions_max = 2;
    struct world *world = world_open(&config);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 0, &chain, 1, "c", since_now());
    world_subscribe(world, 0, &chain, 1, "c", since_now());
    uint32_t before = chain;
    uint32_t subscription = 7;
    struct ticket ticket = {0};
    struct hub_since since = since_now();
    assert_int_equal(hub_subscribe(world->hubs[0], &chain, &ticket, "d", 1, &since, &subscription),
                     -ENOSPC);
    assert_int_equal(chain, before);
    assert_int_equal(subscription, 7);
    assert_int_equal(world_stats(world, 0).refused, 1);
    world_settle(world);
    hub_unsubscribe_all(world->hubs[0], &chain);
    world_subscribe(world, 0, &chain, 1, "d", since_now());
    world_close(world);
}

/* Three subscribers' channels against a home that takes two, of which one is only lingering. */
static void test_channels_max(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.channels_max = 2;
    struct world *world = world_open(&config);
    uint32_t chain = HUB_NONE;
    uint32_t other = HUB_NONE;
    world_subscribe(world, 0, &chain, 1, "a", since_now());
    world_subscribe(world, 0, &other, 2, "b", since_now());
    world_settle(world);
    uint32_t subscription;
    struct ticket ticket = {.conn = 3};
    struct hub_since since = since_now();
    assert_int_equal(hub_subscribe(world->hubs[0], &chain, &ticket, "c", 1, &since, &subscription),
                     -ENOSPC);
    assert_int_equal(world_publish(world, 0, 4, "c", 1), 0);
    assert_int_equal(world_read(world, 0, 5, "c", since_now()), 0);
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, -ENOSPC);
    assert_int_equal(world_next(world, EVENT_READ)->err, -ENOSPC);
    assert_int_equal(world_stats(world, 0).refused, 3);

    hub_unsubscribe_all(world->hubs[0], &other);
    world_subscribe(world, 0, &chain, 3, "c", since_now());
    world_settle(world);
    assert_int_equal(world_next(world, EVENT_SUBSCRIBED)->err, 0);
    assert_int_equal(world_stats(world, 0).channels, 2);
    world_close(world);
}

/* Shard 1 does not turn. Its subscription keeps a lane of 4 and an overflow of 3 waiting. */
static void test_one_behind_stops_the_numbering(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 3;
    config.lane_slots = 4;
    config.overflow_max = 3;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 1, &chain, 1, name, since_now());
    world_settle(world);
    unsigned numbered = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(world_publish(world, 0, i, name, 1), 0);
        hub_turn(world->hubs[0], 0);
        const struct event *event = world_next(world, EVENT_PUBLISHED);
        assert_int_equal(event->err, i < 7 ? 0 : -ENOBUFS);
        numbered += event->err == 0;
    }
    assert_int_equal(world_stats(world, 0).lane_full, 3);
    assert_int_equal(world_stats(world, 0).refused, 3);
    /* Others do not care. */
    assert_int_equal(world_publish(world, 0, 0, world_name(world, 2), 1), 0);

    world_settle(world);
    uint64_t next = 1;
    for (const struct event *event; (event = world_next(world, EVENT_DELIVER));) {
        assert_int_equal(event->first, next);
        next += event->count;
    }
    assert_int_equal(next, numbered + 1);
    world_close(world);
}

static void test_requests_to_one_behind(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    config.lane_slots = 4;
    config.overflow_max = 3;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 1);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(world_publish(world, 0, i, name, 1), i < 7 ? 0 : -ENOBUFS);
    assert_int_equal(world_read(world, 0, 0, name, since_now()), -ENOBUFS);
    uint32_t chain = HUB_NONE;
    uint32_t subscription;
    struct ticket ticket = {0};
    struct hub_since since = since_now();
    assert_int_equal(
        hub_subscribe(world->hubs[0], &chain, &ticket, name, strlen(name), &since, &subscription),
        -ENOBUFS);
    assert_int_equal(chain, HUB_NONE);

    /* It sleeps until the other has made room, not in a loop. */
    hub_turn(world->hubs[0], 0);
    assert_true(hub_sleep(world->hubs[0]));
    hub_turn(world->hubs[1], 0);
    assert_int_equal(world_next(world, EVENT_WAKE)->target, 0);
    hub_awake(world->hubs[0]);
    world_settle(world);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(world_next(world, EVENT_PUBLISHED)->offset, i + 1);
    world_close(world);
}

/* Shard 1 asks and does not take the answers: they fill its lane and wait behind it. Were it
 * refused messages for that, then a shard that asks again whenever it is refused would be refused
 * for ever. */
static void test_answers_do_not_count(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    config.lane_slots = 8;
    config.overflow_max = 16;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 1, &chain, 1, name, since_now());
    world_settle(world);
    for (unsigned i = 0; i < 5 * config.lane_slots; i++) {
        assert_int_equal(world_read(world, 1, i, name, since_now()), 0);
        exchange_flush(world->hubs[1]);
        hub_turn(world->hubs[0], 0);
    }
    assert_int_equal(world->hubs[0]->exchange.overflow[1].items.count, 4 * config.lane_slots);
    assert_int_equal(world_publish(world, 0, 0, name, 1), 0);
    assert_int_equal(world_read(world, 0, 0, world_name(world, 1), since_now()), 0);
    hub_turn(world->hubs[0], 0);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, 0);
    world_close(world);
}

/* With 256 shards there are 65,536 pairs: what each keeps for a rush that it had, or may have, is
 * what the machine lacks. */
static void test_places_are_kept_only_where_a_lane_is_full(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    config.lane_slots = LANE_SLOTS_MIN;
    struct world *world = world_open(&config);
    const struct item_queue *waiting = &world->hubs[0]->exchange.overflow[1].items;
    const char *name = world_name(world, 0), *far = world_name(world, 1);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 1, &chain, 1, name, since_now());
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(world_publish(world, 0, 0, name, 1), 0);
        assert_int_equal(world_read(world, 0, 0, far, since_now()), 0);
        world_settle(world);
    }
    assert_int_equal(waiting->capacity, 0);
    for (unsigned i = 0; i < 2 * config.lane_slots; i++)
        assert_int_equal(world_read(world, 0, i, far, since_now()), 0);
    assert_true(waiting->capacity >= config.lane_slots);
    world_settle(world);
    assert_int_equal(world_read(world, 0, 0, far, since_now()), 0);
    assert_int_equal(waiting->capacity, 0);
    world_close(world);
}

enum {
    MANY_CHANNELS = 20,
    MANY_EACH = TURN_VISITS / MANY_CHANNELS * 5 / 2, /* subscribers: two turns and a half */
};

/* One turn does not visit more subscribers than it may, and the next goes on where it stopped. */
static void test_a_turn_delivers_so_much(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.subscriptions_max = MANY_CHANNELS * MANY_EACH;
    config.overflow_max = UINT32_MAX;
    struct world *world = world_open(&config);
    uint32_t chain = HUB_NONE;
    world->mute = true;
    for (unsigned i = 0; i < MANY_CHANNELS * MANY_EACH; i++) {
        char name[] = {(char)('a' + i % MANY_CHANNELS), '\0'};
        world_subscribe(world, 0, &chain, i, name, since_now());
    }
    world_settle(world);
    for (unsigned i = 0; i < MANY_CHANNELS; i++) {
        char name[] = {(char)('a' + i), '\0'};
        world_publish(world, 0, 0, name, 1);
    }
    world_publish(world, 0, 0, "a", 1);
    for (unsigned turn = 1; turn <= 2; turn++) {
        assert_true(hub_turn(world->hubs[0], 0));
        assert_in_range(world_stats(world, 0).delivered, turn * TURN_VISITS,
                        turn * (TURN_VISITS + 2 * MANY_EACH));
        world_publish(world, 0, 0, "b", 1);
        assert_int_equal(world->hubs[0]->exchange.own.count, turn); /* is taken after these */
    }
    assert_false(hub_turn(world->hubs[0], 0));
    assert_int_equal(world_stats(world, 0).delivered, (MANY_CHANNELS + 3) * MANY_EACH);
    world_close(world);
}

static void test_a_turn_replays_so_much(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    publish(world, "c", config.history_messages_max, 1);
    const unsigned enough = TURN_REPLAYED / config.history_messages_max + 1;
    for (unsigned i = 0; i < enough + 10; i++)
        assert_int_equal(world_read(world, 0, i, "c", since_start()), 0);
    world->seen = world->count;
    assert_true(hub_turn(world->hubs[0], 0));
    assert_int_equal(world->count - world->seen, enough);
    assert_false(hub_turn(world->hubs[0], 0));
    assert_int_equal(world->count - world->seen, enough + 10);
    world_close(world);
}

static void test_a_turn_makes_so_many_channels(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.channels_max = 4 * TURN_CREATED;
    struct world *world = world_open(&config);
    for (unsigned i = 0; i < TURN_CREATED + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "new%u", i);
        assert_int_equal(world_read(world, 0, i, name, since_start()), 0);
    }
    assert_true(hub_turn(world->hubs[0], 0));
    assert_int_equal(world_stats(world, 0).channels, TURN_CREATED);
    assert_false(hub_turn(world->hubs[0], 0));
    assert_int_equal(world_stats(world, 0).channels, TURN_CREATED + 10);
    world_close(world);
}

static void test_a_turn_replays_so_many_bytes(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.history_messages_max = TURN_REPLAYED_BYTES / 8 / 4096;
    config.history_bytes_max = config.history_total_bytes_max = config.reply_bytes_max =
        TURN_REPLAYED_BYTES;
    struct world *world = world_open(&config);
    publish(world, "c", config.history_messages_max, 4096);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(world_read(world, 0, i, "c", since_start()), 0);
    world->seen = world->count;
    assert_true(hub_turn(world->hubs[0], 0));
    assert_int_equal(world->count - world->seen, 8);
    assert_true(hub_turn(world->hubs[0], 0));
    assert_false(hub_turn(world->hubs[0], 0));
    assert_int_equal(world->count - world->seen, 20);
    world_close(world);
}

static void test_a_turn_replays_so_much_to_others(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    config.shards = 2;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    publish(world, name, config.history_messages_max, 1);
    uint64_t epoch = ask(world, name, since_now())->epoch;
    const unsigned enough = TURN_REPLAYED / config.history_messages_max + 1;
    for (unsigned i = 0; i < enough + 2 * TAKE_ITEMS; i++)
        assert_int_equal(world_read(world, 1, i, name, since_position(epoch, 0)), 0);
    hub_turn(world->hubs[1], 0);
    assert_true(hub_turn(world->hubs[0], 0));
    assert_in_range(world_stats(world, 0).recovered, enough, enough + TAKE_ITEMS - 1);
    assert_false(hub_turn(world->hubs[0], 0));
    assert_int_equal(world_stats(world, 0).recovered, enough + 2 * TAKE_ITEMS);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_read_in_parts),
        cmocka_unit_test(test_history_bytes),
        cmocka_unit_test(test_no_history),
        cmocka_unit_test(test_total_takes_from_the_quietest),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_linger),
        cmocka_unit_test(test_subscriptions_max),
        cmocka_unit_test(test_channels_max),
        cmocka_unit_test(test_one_behind_stops_the_numbering),
        cmocka_unit_test(test_requests_to_one_behind),
        cmocka_unit_test(test_answers_do_not_count),
        cmocka_unit_test(test_places_are_kept_only_where_a_lane_is_full),
        cmocka_unit_test(test_a_turn_delivers_so_much),
        cmocka_unit_test(test_a_turn_replays_so_much),
        cmocka_unit_test(test_a_turn_replays_so_much_to_others),
        cmocka_unit_test(test_a_turn_makes_so_many_channels),
        cmocka_unit_test(test_a_turn_replays_so_many_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
