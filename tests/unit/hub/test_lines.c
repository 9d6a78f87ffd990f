/* What a helper publishes, in lines, one turn at a time. */
#include "hub/gap.h"
#include "hub/helper.h"
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* ---- gaps ---- */

static struct {
    struct gap gap;
    bool is_answered, is_dropped;
} asked;

static void on_answered(void *context, struct call *call)
{
    assert_ptr_equal(context, &heard);
    assert_ptr_equal(call, &asked.gap.call);
    asked.is_answered = true;
}

static void on_dropped(struct call *call)
{
    assert_ptr_equal(call, &asked.gap.call);
    asked.is_dropped = true;
}

static bool begins_with_a(const struct remote_scope *scope, const char *name, size_t len)
{
    (void)scope;
    return len > 0 && name[0] == 'a';
}

static void ask(const struct world *world)
{
    static const struct call_ops ops = {gap_run, on_answered, on_dropped};
    static const struct remote_scope scope = {begins_with_a};
    memset(&asked, 0, sizeof asked);
    asked.gap = (struct gap){.call.ops = &ops, .set = world->set, .scope = &scope};
}

static void publish_one(struct world *world, struct helper *helper, const char *name)
{
    static unsigned run = 100;
    assert_int_equal(publish(world, helper, name, 1, ++run, 0), 0);
    settle(world, helper);
}

/* Channels of the scope begin anew: who is there is ended, and no position from before holds. */
static void test_a_gap(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(2000, &helper);
    uint32_t chains[2] = {HUB_NONE, HUB_NONE};
    char name[8];
    publish_one(world, helper, "ab");
    publish_one(world, helper, "b");
    for (unsigned i = 0; i < 900; i++) {
        snprintf(name, sizeof name, "a%u", i);
        assert_int_equal(world_read(world, 0, 1, name, since_start()), 0);
    }
    world_subscribe(world, 0, &chains[0], 5, "ab", since_now());
    world_subscribe(world, 0, &chains[1], 6, "b", since_now());
    world_settle(world);
    uint64_t epochs[2], offset;
    for (unsigned i = 0; i < 2; i++)
        assert_true(hub_position(world->hubs[0], chains[i], &epochs[i], &offset));
    world->seen = world->count;
    ask(world);
    assert_int_equal(helper_call(helper, 0, &asked.gap.call), 0);
    settle(world, helper);
    assert_true(asked.is_answered && !asked.is_dropped && asked.gap.call.err == 0);
    assert_int_equal(asked.gap.channels, 901);
    const struct event *lost = world_next(world, EVENT_LOST);
    assert_true(lost && lost->conn == 5 && !world_next(world, EVENT_LOST));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world_read(world, 0, 9, i == 0 ? "ab" : "b", since_position(epochs[i], 1)),
                         0);
        world_settle(world);
        const struct event *read = world_next(world, EVENT_READ);
        assert_true(read && read->recovered == (i == 1) && read->offset == 1);
        assert_true((read->epoch == epochs[i]) == (i == 1));
    }
    helper_free(helper);
    world_close(world);
}

/* A hub that goes gives it back. */
static void test_a_gap_is_left_over(void **state)
{
    (void)state;
    struct helper *helper;
    struct world *world = open_world(8, &helper);
    ask(world);
    gap_run(NULL, &asked.gap.call);
    helper_free(helper);
    world_close(world);
    assert_true(asked.is_dropped);
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
        cmocka_unit_test(test_published_in_order), cmocka_unit_test(test_a_full_lane),
        cmocka_unit_test(test_a_broken_line),      cmocka_unit_test(test_a_gap),
        cmocka_unit_test(test_a_gap_is_left_over), cmocka_unit_test(test_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
