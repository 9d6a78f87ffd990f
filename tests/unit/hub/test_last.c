/* The last message of a channel, kept for those who want to know what changes. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    PAYLOAD = 100,
};

/* What the subscribers who keep the last were told in deliveries, a letter each: n, they have not
 * what was before the batch; y, they have it, and so has the hub; ?, the hub has it no more. */
static char told[64];
static size_t told_len;

static void look(struct world *world, const struct event *event)
{
    struct hub *hub = world->hubs[event->shard];
    const struct message *before = hub->local.walk_batch.before;
    if (event->kind != EVENT_DELIVER || !hub_keeps_last(hub, event->subscription))
        return;
    assert_true(!before || before->offset + 1 == event->first);
    bool took = hub_took_last(hub, event->subscription);
    told[told_len++] = (char)(!took ? 'n' : before ? 'y' : '?');
    told[told_len] = '\0';
}

static struct world *open(uint64_t total)
{
    struct hub_config config = world_config();
    config.shards = 2;
    config.last_bytes_max = PAYLOAD;
    config.last_total_bytes_max = total;
    struct world *world = world_open(&config);
    world->meddle = look;
    told_len = 0;
    told[0] = '\0';
    return world;
}

static struct hub_since keeping(struct hub_since since)
{
    since.keeps_last = true;
    return since;
}

static void publish(struct world *world, const char *name, size_t bytes)
{
    assert_int_equal(world_publish(world, 0, 0, name, bytes), 0);
    world_settle(world);
}

static void test_who_has_the_last(void **state)
{
    (void)state;
    struct world *world = open(UINT64_MAX);
    const char *name = world_name(world, 0);
    uint32_t one = HUB_NONE, plain = HUB_NONE, late = HUB_NONE, behind = HUB_NONE;
    world_subscribe(world, 1, &one, 1, name, keeping(since_now()));
    world_subscribe(world, 1, &plain, 2, name, since_now());
    world_settle(world);
    publish(world, name, PAYLOAD);
    publish(world, name, PAYLOAD);
    assert_string_equal(told, "ny");
    world_subscribe(world, 1, &late, 3, name, keeping(since_now()));
    world_subscribe(world, 1, &behind, 4, name, keeping(since_start()));
    world_settle(world);
    publish(world, name, PAYLOAD);
    assert_string_equal(told, "nyyny");
    publish(world, name, PAYLOAD);
    assert_string_equal(told, "nyynyyyy");
    assert_true(world->hubs[1]->local.last_bytes > PAYLOAD);
    hub_unsubscribe_all(world->hubs[1], &one);
    hub_unsubscribe_all(world->hubs[1], &late);
    hub_unsubscribe_all(world->hubs[1], &behind);
    assert_int_equal(world->hubs[1]->local.last_bytes, 0);
    publish(world, name, PAYLOAD);
    assert_int_equal(world->hubs[1]->local.last_bytes, 0);
    hub_unsubscribe_all(world->hubs[1], &plain);
    world_close(world);
}

/* What is too large, or finds no room, is not kept, and what comes behind it has no base. */
static void test_bounds(void **state)
{
    (void)state;
    struct world *world = open(2 * PAYLOAD + sizeof(struct message));
    const char *name = world_name(world, 0), *other = world_name(world, 1);
    uint32_t one = HUB_NONE, two = HUB_NONE;
    world_subscribe(world, 0, &one, 1, name, keeping(since_now()));
    world_settle(world);
    publish(world, name, PAYLOAD + 1);
    publish(world, name, PAYLOAD);
    publish(world, name, PAYLOAD);
    assert_string_equal(told, "n?y");
    world_subscribe(world, 0, &two, 2, other, keeping(since_now()));
    world_settle(world);
    publish(world, other, PAYLOAD);
    publish(world, other, PAYLOAD);
    assert_string_equal(told, "n?yn?");
    hub_unsubscribe_all(world->hubs[0], &one);
    publish(world, other, PAYLOAD);
    publish(world, other, PAYLOAD);
    assert_string_equal(told, "n?yn??y");
    hub_unsubscribe_all(world->hubs[0], &two);
    world_close(world);
}

/* Hubs that go let go of what they keep: the sanitizers look. */
static void test_ends_with_the_hub(void **state)
{
    (void)state;
    struct world *world = open(UINT64_MAX);
    const char *name = world_name(world, 0);
    uint32_t one = HUB_NONE;
    world_subscribe(world, 0, &one, 1, name, keeping(since_now()));
    world_settle(world);
    publish(world, name, PAYLOAD);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_has_the_last),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_ends_with_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
