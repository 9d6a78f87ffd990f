/* What a helper publishes, in lines, one turn at a time. */
#include "hub/helper.h"
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    LINES = 2,
    LANE = 4, /* slots */
    ANSWERS = 64,
};

static struct {
    struct ticket tickets[ANSWERS];
    int errs[ANSWERS];
    uint64_t offsets[ANSWERS];
    unsigned count;
} heard;

static void on_wake(void *context, unsigned shard)
{
    (void)context;
    (void)shard;
}

static void on_published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                         uint64_t offset)
{
    assert_ptr_equal(context, &heard);
    assert_true(err < 0 || epoch != 0);
    heard.tickets[heard.count] = *ticket;
    heard.errs[heard.count] = err;
    heard.offsets[heard.count++] = offset;
}

static struct world *open_world(unsigned channels_max, struct helper **ret)
{
    static const struct helper_ops ops = {.wake = on_wake, .published = on_published};
    struct hub_config config = world_config();
    config.shards = 1;
    config.helpers = 1;
    config.lines = LINES;
    config.lane_slots = LANE;
    config.channels_max = channels_max;
    memset(&heard, 0, sizeof heard);
    struct world *world = world_open(&config);
    *ret = helper_create(world->set, 0, &ops, &heard);
    assert_non_null(*ret);
    return world;
}

static int publish(struct world *world, struct helper *helper, const char *name, unsigned line,
                   unsigned run, unsigned number)
{
    const struct ticket ticket = {.conn = number, .generation = run, .tag = line};
    struct message *message =
        message_create(name, strlen(name), hub_hash(world->set, name, strlen(name)), "x", 1, true);
    assert_non_null(message);
    int err = helper_publish(helper, &ticket, message);
    if (err < 0)
        message_unref(message);
    return err;
}

static void settle(struct world *world, struct helper *helper)
{
    helper_turn(helper);
    world_settle(world);
    helper_turn(helper);
}

static bool is_rung(const struct helper *helper)
{
    struct pollfd poll_fd = {.fd = helper_bell(helper)->fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void test_published_in_order(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(8, &helper);
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 0, &chain, 5, "a", since_now());
    world_settle(world);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(publish(world, helper, "a", 0, 1, i), 0);
    assert_false(helper_sleep(helper)); /* they are not handed over yet */
    settle(world, helper);
    assert_int_equal(heard.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(heard.errs[i] == 0 && heard.offsets[i] == i + 1 &&
                    heard.tickets[i].conn == i + 1);
    const struct event *given = world_next(world, EVENT_DELIVER);
    assert_true(given && given->conn == 5 && given->offset == 3);
    helper_free(helper);
    world_close(world);
}

/* A full lane refuses, and its bell rings when there is room. */
static void test_a_full_lane(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(8, &helper);
    for (unsigned i = 1; i <= LANE; i++)
        assert_int_equal(publish(world, helper, "a", 0, 1, i), 0);
    assert_int_equal(publish(world, helper, "a", 0, 1, LANE + 1), -ENOBUFS);
    helper_turn(helper);
    assert_true(helper_sleep(helper));
    assert_false(is_rung(helper));
    hub_turn(world->hubs[0], 0);
    assert_true(is_rung(helper));
    helper_awake(helper);
    helper_turn(helper);
    assert_int_equal(heard.count, LANE);
    assert_int_equal(publish(world, helper, "a", 0, 1, LANE + 1), 0);
    settle(world, helper);
    assert_int_equal(heard.count, LANE + 1);
    helper_free(helper);
    world_close(world);
}

/* Behind what was not published nothing of its line is, until its next run; other lines are. */
static void test_a_broken_line(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(1, &helper);
    assert_int_equal(publish(world, helper, "a", 0, 1, 1), 0);
    assert_int_equal(publish(world, helper, "b", 0, 1, 2), 0); /* there is no room for it */
    assert_int_equal(publish(world, helper, "a", 0, 1, 3), 0);
    assert_int_equal(publish(world, helper, "a", 1, 1, 4), 0);
    settle(world, helper);
    static const int errs[] = {0, -ENOSPC, -ECANCELED, 0};
    assert_int_equal(heard.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(heard.errs[i], errs[i]);
    assert_int_equal(publish(world, helper, "a", 0, 2, 3), 0);
    settle(world, helper);
    assert_true(heard.errs[4] == 0 && heard.offsets[4] == 3);
    helper_free(helper);
    world_close(world);
}

/* What nobody took is given back, and so is what nobody heard. */
static void test_left_over(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(8, &helper);
    assert_int_equal(publish(world, helper, "a", 0, 1, 1), 0);
    helper_turn(helper);
    hub_turn(world->hubs[0], 0);
    assert_int_equal(publish(world, helper, "a", 0, 1, 2), 0);
    helper_turn(helper);
    assert_int_equal(heard.count, 1);
    helper_free(helper);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_in_order),
        cmocka_unit_test(test_a_full_lane),
        cmocka_unit_test(test_a_broken_line),
        cmocka_unit_test(test_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
