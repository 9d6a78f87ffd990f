/* Who joins and leaves, between messages: in order with them, without a place of its own. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    VISITS = 10,
    READERS = 35, /* of each shard: a walk takes several turns */
};

static void join(struct world *world, const char *name)
{
    struct message *message =
        message_create(name, strlen(name), hub_hash(world->set, name, strlen(name)), "{}", 2, true);
    assert_non_null(message);
    message->kind = MESSAGE_JOIN;
    assert_int_equal(hub_publish(world->hubs[0], NULL, message), 0);
}

/* What one subscriber was given, a letter each: m messages of a batch, e its events. Messages are
 * numbered without gaps. */
static void given(const struct world *world, unsigned shard, uint32_t conn, char ret[64])
{
    uint64_t offset = 0;
    size_t len = 0;
    for (unsigned i = 0; i < world->count; i++) {
        const struct event *event = &world->events[i];
        bool is_message = event->kind == EVENT_DELIVER;
        if (event->shard != shard || event->conn != conn ||
            (!is_message && event->kind != EVENT_JOINED))
            continue;
        assert_int_equal(event->first, is_message ? offset + 1 : offset);
        offset = event->offset;
        for (unsigned k = 0; k < event->count; k++)
            ret[len++] = is_message ? 'm' : 'e';
        assert_true(len < 63);
    }
    ret[len] = '\0';
}

static void run(unsigned shards)
{
    struct hub_config config = world_config();
    config.turn_visits = VISITS;
    config.shards = shards;
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chains[WORLD_SHARDS][READERS];
    for (unsigned shard = 0; shard < shards; shard++) {
        for (uint32_t i = 0; i < READERS; i++) {
            chains[shard][i] = HUB_NONE;
            world_subscribe(world, shard, &chains[shard][i], i, name, since_now());
        }
    }
    world_settle(world);
    static const char plan[] = "mmemeemmmee";
    for (const char *at = plan; *at; at++) {
        if (*at == 'm')
            assert_int_equal(world_publish(world, 0, 0, name, 1), 0);
        else
            join(world, name);
    }
    world_settle(world);
    for (unsigned shard = 0; shard < shards; shard++) {
        for (uint32_t i = 0; i < READERS; i++) {
            char seen[64];
            given(world, shard, i, seen);
            assert_string_equal(seen, plan);
        }
    }
    assert_int_equal(world_stats(world, 0).published, 6);
    assert_int_equal(world_stats(world, 0).history_messages, 6);
    world_close(world);
}

static void test_in_order_on_one_shard(void **state)
{
    (void)state;
    run(1);
}

static void test_in_order_across_shards(void **state)
{
    (void)state;
    run(3);
}

static void test_a_position_does_not_move(void **state)
{
    (void)state;
    struct hub_config config = world_config();
    struct world *world = world_open(&config);
    const char *name = world_name(world, 0);
    uint32_t chain = HUB_NONE;
    uint32_t subscription = world_subscribe(world, 0, &chain, 1, name, since_now());
    world_publish(world, 0, 0, name, 1);
    world_settle(world);
    join(world, name);
    world_settle(world);
    uint64_t epoch, offset;
    assert_true(hub_position(world->hubs[0], subscription, &epoch, &offset));
    assert_int_equal(offset, 1);
    assert_int_equal(world_read(world, 0, 2, name, since_position(epoch, 1)), 0);
    world_settle(world);
    const struct event *read = world_next(world, EVENT_READ);
    assert_non_null(read);
    assert_true(read->recovered);
    assert_int_equal(read->count, 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order_on_one_shard),
        cmocka_unit_test(test_in_order_across_shards),
        cmocka_unit_test(test_a_position_does_not_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
