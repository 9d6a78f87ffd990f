#include "hub/hub_internal.h"

#include <errno.h>
#include <stdlib.h>

int exchange_init(struct hub *hub)
{
    hub->exchange.overflow = calloc(hub_participants(hub->config), sizeof *hub->exchange.overflow);
    return hub->exchange.overflow ? calls_init(&hub->exchange.calls, hub->set, hub->index)
                                  : -ENOMEM;
}

void exchange_done(struct hub *hub)
{
    calls_done(&hub->exchange.calls);
    item_queue_done(&hub->exchange.own);
    for (unsigned i = 0; hub->exchange.overflow && i < hub_participants(hub->config); i++)
        item_queue_done(&hub->exchange.overflow[i].items);
    free(hub->exchange.overflow);
}

int exchange_room(const struct hub *hub, unsigned target)
{
    const struct exchange *exchange = &hub->exchange;
    uint32_t waiting =
        target == hub->index ? exchange->own.count : exchange->overflow[target].requests;
    return waiting >= hub->config->overflow_max ? -ENOBUFS : 0;
}

/* An overflow list has places only where a lane is nearly full: with many shards there are more
 * pairs of them than memory for places that nobody needs. */
int exchange_reserve(struct hub *hub, unsigned target)
{
    if (target == hub->index)
        return 0;
    struct item_queue *items = &hub->exchange.overflow[target].items;
    if (items->count == 0 && lane_has_room(hub->set->lanes, hub->index, target, TAKE_ITEMS + 1)) {
        item_queue_done(items);
        return 0;
    }
    return item_queue_reserve(items, TAKE_ITEMS + 1);
}

int exchange_live_room(struct hub *hub, unsigned target)
{
    if (hub->exchange.overflow[target].live >= hub->config->overflow_max)
        return -ENOBUFS;
    return exchange_reserve(hub, target);
}

static void overflow_count(struct overflow *overflow, const struct item *item, int change)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_PUBLISH:
    case ITEM_SUBSCRIBE:
    case ITEM_READ:
        overflow->requests += (uint32_t)change;
        break;
    case ITEM_LIVE:
        overflow->live += (uint32_t)change;
        break;
    case ITEM_UNSUBSCRIBE:
    case ITEM_SUBSCRIBED:
    case ITEM_READ_DONE:
    case ITEM_PUBLISHED:
        break;
    case ITEM_CALL:
    case ITEM_CALLED:
        assert(!"calls wait in lists of their own");
    }
}

/* A lane that has something waiting takes nothing directly, or it would overtake. */
static int push(struct hub *hub, unsigned target, const struct item *item)
{
    struct exchange *exchange = &hub->exchange;
    struct overflow *overflow = &exchange->overflow[target];
    if (overflow->items.count == 0 && lane_push(hub->set->lanes, hub->index, target, item) == 0) {
        lane_bits_add(&exchange->unflushed, target);
        return 0;
    }
    int err = item_queue_push(&overflow->items, item);
    if (err)
        return err;
    overflow_count(overflow, item, 1);
    lane_bits_add(&exchange->overflowed, target);
    counter_add(&hub->counters.lane_full, 1);
    return 0;
}

int exchange_request(struct hub *hub, unsigned target, const struct item *item)
{
    int err = exchange_room(hub, target);
    if (!err && target == hub->index)
        return item_queue_push(&hub->exchange.own, item);
    if (!err)
        err = exchange_reserve(hub, target);
    return err ? err : push(hub, target, item);
}

void exchange_send(struct hub *hub, unsigned target, const struct item *item)
{
    if (target == hub->index) {
        hub_handle(hub, hub->index, item);
        return;
    }
    int err = push(hub, target, item);
    assert(!err && "its place was reserved");
}

static void overflow_drain(struct hub *hub, unsigned target)
{
    struct overflow *overflow = &hub->exchange.overflow[target];
    for (const struct item *item; (item = item_queue_first(&overflow->items));) {
        if (lane_push(hub->set->lanes, hub->index, target, item) != 0)
            return;
        lane_bits_add(&hub->exchange.unflushed, target);
        overflow_count(overflow, item, -1);
        item_queue_drop(&overflow->items);
    }
    item_queue_done(&overflow->items);
    lane_bits_remove(&hub->exchange.overflowed, target);
}

void exchange_retry(struct hub *hub)
{
    calls_send(&hub->exchange.calls, &hub->exchange.unflushed);
    for (unsigned target = lane_bits_next(&hub->exchange.overflowed, 0);
         target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&hub->exchange.overflowed, target + 1)) {
        overflow_drain(hub, target);
    }
}

static void wake(struct hub *hub, unsigned target)
{
    if (!hub_set_ring(hub->set, target))
        hub->ops.wake(hub->shard, target);
}

void exchange_flush(struct hub *hub)
{
    struct exchange *exchange = &hub->exchange;
    calls_send(&exchange->calls, &exchange->unflushed);
    for (unsigned target = lane_bits_next(&exchange->unflushed, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&exchange->unflushed, target + 1)) {
        lane_bits_remove(&exchange->unflushed, target);
        if (lane_flush(hub->set->lanes, hub->index, target))
            wake(hub, target);
    }
}

unsigned exchange_take(struct hub *hub, unsigned source, struct item *items, unsigned max)
{
    bool starved;
    unsigned count = lane_pop(hub->set->lanes, source, hub->index, items, max, &starved);
    if (starved)
        wake(hub, source);
    return count;
}
