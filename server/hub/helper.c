#include "hub/helper.h"

#include <errno.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

enum {
    HELPER_ITEMS = 256, /* taken from a lane in a turn */
};

struct helper {
    struct hub_set *set;
    struct helper_ops ops;
    void *context;
    unsigned self;            /* its number as a participant */
    struct helper_door *door; /* the set's */
    struct calls calls;
    struct lane_bits ready;     /* with something to take */
    struct lane_bits unflushed; /* with something pushed */
    struct lane_bits full;      /* that had no room for a publish */
};

unsigned helper_participant(const struct hub_set *set, unsigned which)
{
    assert(which < set->config.helpers);
    return set->config.shards + which;
}

struct helper *helper_create(struct hub_set *set, unsigned which, const struct helper_ops *ops,
                             void *context)
{
    struct helper *helper = malloc(sizeof *helper);
    if (!helper)
        return NULL;
    *helper = (struct helper){
        .set = set,
        .ops = *ops,
        .context = context,
        .self = helper_participant(set, which),
        .door = &set->doors[which],
    };
    if (calls_init(&helper->calls, set, helper->self) < 0) {
        free(helper);
        return NULL;
    }
    return helper;
}

void helper_free(struct helper *helper)
{
    if (!helper)
        return;
    calls_done(&helper->calls);
    free(helper);
}

int helper_call(struct helper *helper, unsigned target, struct call *call)
{
    return calls_ask(&helper->calls, target, call);
}

void helper_answer(struct helper *helper, struct call *call)
{
    calls_answer(&helper->calls, call);
}

int helper_publish(struct helper *helper, const struct ticket *ticket, struct message *message)
{
    assert(helper->ops.published && ticket->tag < helper->set->config.lines);
    assert(ticket->generation != 0 && message->epoch == 0 && message->offset == 0);
    unsigned home = home_of(message->hash, helper->set->config.shards);
    const struct item item = {
        .kind = ITEM_PUBLISH, .ask = true, .ticket = *ticket, .message = message};
    if (lane_push(helper->set->lanes, helper->self, home, &item) < 0) {
        lane_bits_add(&helper->full, home);
        return -ENOBUFS;
    }
    lane_bits_add(&helper->unflushed, home);
    return 0;
}

/* ---- turning ---- */

static void wake(struct helper *helper, unsigned target)
{
    if (!hub_set_ring(helper->set, target))
        helper->ops.wake(helper->context, target);
}

static void hand_over(struct helper *helper)
{
    struct lane_bits *unflushed = &helper->unflushed;
    calls_send(&helper->calls, unflushed);
    for (unsigned target = lane_bits_next(unflushed, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(unflushed, target + 1)) {
        lane_bits_remove(unflushed, target);
        if (lane_flush(helper->set->lanes, helper->self, target))
            wake(helper, target);
    }
}

static void take(struct helper *helper, unsigned source, const struct item *item)
{
    if (item->kind == ITEM_PUBLISHED)
        helper->ops.published(helper->context, &item->ticket, item->err, item->position.epoch,
                              item->position.offset);
    else
        calls_take(&helper->calls, source, item->call, helper->context);
}

/* Returns true when there is more. */
static bool take_lane(struct helper *helper, unsigned source)
{
    struct item items[TAKE_ITEMS];
    for (unsigned left = HELPER_ITEMS; left > 0; left -= TAKE_ITEMS) {
        bool starved;
        unsigned count =
            lane_pop(helper->set->lanes, source, helper->self, items, TAKE_ITEMS, &starved);
        if (starved)
            wake(helper, source);
        for (unsigned i = 0; i < count; i++)
            take(helper, source, &items[i]);
        if (count < TAKE_ITEMS)
            return false;
    }
    return true;
}

bool helper_turn(struct helper *helper)
{
    hand_over(helper);
    calls_take_own(&helper->calls, helper->context);
    lane_ready(helper->set->lanes, helper->self, &helper->ready);
    for (unsigned source = lane_bits_next(&helper->ready, 0); source < LANE_PARTICIPANTS_MAX;
         source = lane_bits_next(&helper->ready, source + 1)) {
        if (!take_lane(helper, source))
            lane_bits_remove(&helper->ready, source);
    }
    hand_over(helper);
    return lane_bits_any(&helper->ready) || calls_has_own(&helper->calls);
}

/* ---- waiting ---- */

/* Whether a lane that was full has room again. */
static bool publishes_starve(struct helper *helper)
{
    for (unsigned target = lane_bits_next(&helper->full, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&helper->full, target + 1)) {
        lane_bits_remove(&helper->full, target);
        if (lane_starve(helper->set->lanes, helper->self, target))
            return true;
    }
    return false;
}

bool helper_sleep(struct helper *helper)
{
    if (lane_bits_any(&helper->ready) || calls_has_own(&helper->calls) || helper_stopping(helper))
        return false;
    if (lane_bits_any(&helper->unflushed) || publishes_starve(helper))
        return false;
    return !calls_starve(&helper->calls) && lane_sleep(helper->set->lanes, helper->self);
}

void helper_awake(struct helper *helper)
{
    lane_awake(helper->set->lanes, helper->self);
}

const struct bell *helper_bell(const struct helper *helper)
{
    return &helper->door->bell;
}

void helper_wait(struct helper *helper, int64_t timeout_ns)
{
    if (helper_sleep(helper))
        bell_wait(helper_bell(helper), timeout_ns);
    helper_awake(helper);
}

void helper_stop(struct hub_set *set, unsigned which)
{
    assert(which < set->config.helpers);
    atomic_store(&set->doors[which].stopping, true);
    bell_ring(&set->doors[which].bell);
}

bool helper_stopping(const struct helper *helper)
{
    return atomic_load(&helper->door->stopping);
}
