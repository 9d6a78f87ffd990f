/* Calls between shards and a helper, one turn at a time. */
#include "hub/helper.h"
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    CALLS = 64,
    BOUND = 10, /* hub_config.overflow_max */
    LANE = 4,   /* slots */
};

static struct {
    unsigned ran[CALLS], done[CALLS], dropped; /* numbers in the order in which it happened */
    unsigned ran_count, done_count;
    void *where; /* the last one ran or was done there */
    struct call *kept;
    unsigned woken; /* by the helper */
} seen;

struct numbered {
    struct call call;
    unsigned number;
    struct hub *hub;       /* who answers: a shard */
    struct helper *helper; /* or a helper; neither: it is kept */
};

static void run(void *target, struct call *call)
{
    struct numbered *numbered = (struct numbered *)call;
    seen.ran[seen.ran_count++] = numbered->number;
    seen.where = target;
    seen.kept = call;
    call->err = -(int)numbered->number;
    if (numbered->hub)
        hub_answer(numbered->hub, call);
    else if (numbered->helper)
        helper_answer(numbered->helper, call);
    else if (!call->ops->done)
        free(call);
}

static void done(void *asker, struct call *call)
{
    struct numbered *numbered = (struct numbered *)call;
    assert_int_equal(call->err, -(int)numbered->number);
    assert_int_equal(call->ticket.tag, 100 + numbered->number);
    seen.done[seen.done_count++] = numbered->number;
    seen.where = asker;
    free(call);
}

static void drop(struct call *call)
{
    seen.dropped++;
    free(call);
}

static const struct call_ops question = {run, done, drop};
static const struct call_ops event = {run, NULL, drop};

static struct numbered *numbered(const struct call_ops *ops, unsigned number, struct hub *hub,
                                 struct helper *helper)
{
    struct numbered *made = malloc(sizeof *made);
    assert_non_null(made);
    *made = (struct numbered){
        .call = {.ops = ops, .ticket = {.tag = 100 + number}},
        .number = number,
        .hub = hub,
        .helper = helper,
    };
    return made;
}

static struct world *open_world(unsigned shards, unsigned helpers)
{
    struct hub_config config = world_config();
    config.shards = shards;
    config.helpers = helpers;
    config.overflow_max = BOUND;
    config.lane_slots = LANE;
    memset(&seen, 0, sizeof seen);
    return world_open(&config);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct world *world = open_world(2, 0);
    struct numbered *call = numbered(&question, 1, world->hubs[1], NULL);
    assert_int_equal(hub_call(world->hubs[0], 1, &call->call), 0);
    assert_false(hub_sleep(world->hubs[0])); /* it is not handed over yet */
    hub_turn(world->hubs[0], 0);
    hub_turn(world->hubs[1], 0);
    assert_int_equal(seen.ran_count, 1);
    assert_ptr_equal(seen.where, &world->places[1]);
    assert_int_equal(seen.done_count, 0);
    hub_turn(world->hubs[0], 0);
    assert_int_equal(seen.done_count, 1);
    assert_ptr_equal(seen.where, &world->places[0]);
    world_close(world);
}

static void test_to_itself(void **state)
{
    (void)state;
    struct world *world = open_world(1, 0);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(
            hub_call(world->hubs[0], 0, &numbered(&question, i, world->hubs[0], NULL)->call), 0);
    assert_int_equal(hub_call(world->hubs[0], 0, &numbered(&event, 4, NULL, NULL)->call), 0);
    assert_int_equal(seen.ran_count, 0); /* never from inside */
    world_settle(world);
    assert_int_equal(seen.ran_count, 4);
    assert_int_equal(seen.done_count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(seen.ran[i] == i + 1 && seen.done[i] == i + 1);
    world_close(world);
}

/* More than a lane holds wait in order, and their asker sleeps until there is room. */
static void test_a_full_lane(void **state)
{
    (void)state;
    struct world *world = open_world(2, 0);
    for (unsigned i = 1; i <= BOUND; i++)
        assert_int_equal(
            hub_call(world->hubs[0], 1, &numbered(&question, i, world->hubs[1], NULL)->call), 0);
    while (hub_turn(world->hubs[0], 0) || !hub_sleep(world->hubs[0]))
        ;
    assert_null(world_next(world, EVENT_WAKE));
    hub_turn(world->hubs[1], 0);
    assert_int_equal(seen.ran_count, LANE);
    const struct event *wake = world_next(world, EVENT_WAKE);
    assert_true(wake && wake->target == 0 && wake->shard == 1);
    hub_awake(world->hubs[0]);
    world_settle(world);
    assert_int_equal(seen.done_count, BOUND);
    for (unsigned i = 0; i < BOUND; i++)
        assert_true(seen.ran[i] == i + 1 && seen.done[i] == i + 1);
    world_close(world);
}

/* Those that are not answered count, and those that want no answer until they are handed over. */
static void test_the_bound(void **state)
{
    (void)state;
    struct world *world = open_world(3, 0);
    struct call *first = NULL;
    for (unsigned i = 1; i <= BOUND; i++) {
        struct numbered *call = numbered(&question, i, NULL, NULL);
        assert_int_equal(hub_call(world->hubs[0], 1, &call->call), 0);
        world_settle(world);
        first = first ? first : seen.kept;
        if (seen.kept != first) /* all but the first are answered at the end */
            hub_answer(world->hubs[1], seen.kept);
    }
    world_settle(world);
    assert_int_equal(seen.done_count, BOUND - 1);
    for (unsigned i = 1; i < BOUND; i++)
        assert_int_equal(
            hub_call(world->hubs[0], 1, &numbered(&question, i, world->hubs[1], NULL)->call), 0);
    struct numbered *over = numbered(&question, BOUND, world->hubs[1], NULL);
    assert_int_equal(hub_call(world->hubs[0], 1, &over->call), -ENOBUFS);
    assert_int_equal(world_stats(world, 0).refused, 1);
    assert_int_equal(hub_call(world->hubs[0], 2, &numbered(&event, 1, NULL, NULL)->call), 0);
    hub_answer(world->hubs[1], first);
    world_settle(world);
    assert_int_equal(hub_call(world->hubs[0], 1, &over->call), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BOUND; i++)
            assert_int_equal(hub_call(world->hubs[0], 2, &numbered(&event, i, NULL, NULL)->call),
                             0);
        world_settle(world);
    }
    world_close(world);
}

/* Wherever a call is when its target or its asker goes, it is given back. */
static void test_left_over(void **state)
{
    (void)state;
    struct world *world = open_world(2, 1);
    unsigned helper = helper_participant(world->set, 0);
    for (unsigned i = 1; i <= BOUND; i++) {
        assert_int_equal(
            hub_call(world->hubs[0], 1, &numbered(&question, i, world->hubs[1], NULL)->call), 0);
        assert_int_equal(hub_call(world->hubs[1], helper, &numbered(&event, i, NULL, NULL)->call),
                         0);
        assert_int_equal(
            hub_call(world->hubs[1], 1, &numbered(&question, i, world->hubs[1], NULL)->call), 0);
    }
    hub_turn(world->hubs[0], 0);
    hub_turn(world->hubs[1], 0); /* some are answered, and nobody hears it */
    assert_true(seen.ran_count > 0 && seen.dropped == 0);
    unsigned done_before = seen.done_count;
    world_close(world);
    assert_int_equal(seen.dropped, 3 * BOUND - done_before);
}

/* ---- a helper ---- */

static void on_wake(void *context, unsigned shard)
{
    assert_ptr_equal(context, &seen);
    assert_int_equal(shard, 0);
    seen.woken++;
}

static bool is_rung(const struct helper *helper)
{
    struct pollfd poll_fd = {.fd = helper_bell(helper)->fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void test_a_helper(void **state)
{
    (void)state;
    static const struct helper_ops ops = {.wake = on_wake};
    struct world *world = open_world(1, 1);
    struct helper *helper = helper_create(world->set, 0, &ops, &seen);
    assert_non_null(helper);
    unsigned number = helper_participant(world->set, 0);

    assert_true(helper_sleep(helper));
    for (unsigned i = 1; i <= 2; i++)
        assert_int_equal(
            hub_call(world->hubs[0], number, &numbered(&question, i, NULL, helper)->call), 0);
    hub_turn(world->hubs[0], 0);
    assert_true(is_rung(helper));
    assert_null(world_next(world, EVENT_WAKE)); /* that is for shards */
    bell_wait(helper_bell(helper), -1);
    helper_awake(helper);
    assert_false(is_rung(helper));
    assert_true(hub_sleep(world->hubs[0]));
    assert_false(helper_turn(helper));
    assert_int_equal(seen.ran_count, 2);
    assert_ptr_equal(seen.where, &seen);
    assert_int_equal(seen.woken, 1);
    hub_awake(world->hubs[0]);
    hub_turn(world->hubs[0], 0);
    assert_int_equal(seen.done_count, 2);

    /* Asked while it is awake it is not rung for. */
    assert_int_equal(hub_call(world->hubs[0], number, &numbered(&event, 3, NULL, NULL)->call), 0);
    hub_turn(world->hubs[0], 0);
    assert_false(is_rung(helper));
    assert_false(helper_sleep(helper));
    helper_turn(helper);
    assert_int_equal(seen.ran[2], 3);

    /* It asks as it is asked, itself too. */
    assert_int_equal(helper_call(helper, 0, &numbered(&question, 4, world->hubs[0], NULL)->call),
                     0);
    assert_int_equal(helper_call(helper, number, &numbered(&question, 5, NULL, helper)->call), 0);
    helper_turn(helper);
    hub_turn(world->hubs[0], 0);
    assert_true(is_rung(helper) == false && !helper_sleep(helper));
    helper_turn(helper);
    assert_int_equal(seen.done_count, 4);

    helper_wait(helper, 0);
    assert_false(helper_stopping(helper));
    helper_stop(world->set, 0);
    assert_true(helper_stopping(helper) && is_rung(helper));
    assert_false(helper_sleep(helper));
    helper_free(helper);
    helper_free(NULL);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_to_itself),
        cmocka_unit_test(test_a_full_lane),    cmocka_unit_test(test_the_bound),
        cmocka_unit_test(test_left_over),      cmocka_unit_test(test_a_helper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
