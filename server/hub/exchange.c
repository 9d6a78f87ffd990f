#include "hub/hub_internal.h"

#include <errno.h>
#include <stdlib.h>

int exchange_init(struct hub *hub)
{
    hub->exchange.overflow = calloc(hub->config->shards, sizeof *hub->exchange.overflow);
    return hub->exchange.overflow ? 0 : -ENOMEM;
}

void exchange_done(struct hub *hub)
{
    item_queue_done(&hub->exchange.own);
    for (unsigned i = 0; hub->exchange.overflow && i < hub->config->shards; i++)
        item_queue_done(&hub->exchange.overflow[i]);
    free(hub->exchange.overflow);
}

int exchange_room(const struct hub *hub, unsigned target)
{
    const struct item_queue *queue =
        target == hub->index ? &hub->exchange.own : &hub->exchange.overflow[target];
    return queue->count >= hub->config->overflow_max ? -ENOBUFS : 0;
}

/* A lane that has something waiting takes nothing directly, or it would overtake. */
static int push(struct hub *hub, unsigned target, const struct item *item)
{
    struct exchange *exchange = &hub->exchange;
    struct item_queue *overflow = &exchange->overflow[target];
    if (overflow->count == 0 && lane_push(hub->set->lanes, hub->index, target, item) == 0) {
        lane_bits_add(&exchange->unflushed, target);
        return 0;
    }
    int err = item_queue_push(overflow, item);
    if (err)
        return err;
    lane_bits_add(&exchange->overflowed, target);
    counter_add(&hub->counters.lane_full, 1);
    return 0;
}

int exchange_request(struct hub *hub, unsigned target, const struct item *item)
{
    int err = exchange_room(hub, target);
    if (err)
        return err;
    return target == hub->index ? item_queue_push(&hub->exchange.own, item)
                                : push(hub, target, item);
}

void exchange_send(struct hub *hub, unsigned target, const struct item *item)
{
    if (target == hub->index) {
        hub_handle(hub, hub->index, item);
        return;
    }
    int err = push(hub, target, item);
    assert(!err && "memory is out, and an answer is owed");
}

void exchange_retry(struct hub *hub)
{
    struct exchange *exchange = &hub->exchange;
    LANE_BITS_FOREACH(&exchange->overflowed, target)
    {
        struct item_queue *overflow = &exchange->overflow[target];
        for (const struct item *item; (item = item_queue_first(overflow));
             item_queue_drop(overflow)) {
            if (lane_push(hub->set->lanes, hub->index, target, item) != 0)
                break;
            lane_bits_add(&exchange->unflushed, target);
        }
        if (overflow->count == 0)
            lane_bits_remove(&exchange->overflowed, target);
    }
}

void exchange_flush(struct hub *hub)
{
    struct exchange *exchange = &hub->exchange;
    LANE_BITS_FOREACH(&exchange->unflushed, target)
    {
        lane_bits_remove(&exchange->unflushed, target);
        if (lane_flush(hub->set->lanes, hub->index, target))
            hub->ops.wake(hub->shard, target);
    }
}

unsigned exchange_take(struct hub *hub, unsigned source, struct item *items, unsigned max)
{
    bool wake;
    unsigned count = lane_pop(hub->set->lanes, source, hub->index, items, max, &wake);
    if (wake)
        hub->ops.wake(hub->shard, source);
    return count;
}
