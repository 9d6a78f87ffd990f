#include "hub/gap.h"

#include <errno.h>

#include "hub/hub_internal.h"

void gap_run(void *shard, struct call *call)
{
    struct gap *gap = (struct gap *)call;
    struct hub *hub = gap->set->hubs[gap->shard];
    (void)shard;
    if (hub->config->broker) {
        call->err = -ENOTSUP;
        hub_answer(hub, call);
        return;
    }
    gap->epoch = home_epoch(hub);
    gap->part = 0;
    gap->next = NULL;
    struct gap **last = &hub->gaps;
    while (*last)
        last = &(*last)->next;
    *last = gap;
}

/* Returns 0, or -ENOBUFS or -ENOMEM: later. */
static int begin_anew(struct hub *hub, struct channel_home *channel, uint64_t hash, uint64_t epoch)
{
    struct message *message = NULL;
    if (lane_bits_any(&channel->shards)) {
        int err = home_room(hub, channel);
        if (err < 0)
            return err;
        message = message_create(channel->name, channel->name_len, hash, NULL, 0, false);
        if (!message)
            return -ENOMEM;
    }
    channel->epoch = epoch;
    if (message) {
        message->kind = MESSAGE_GAP;
        message->epoch = epoch;
        message->offset = channel->offset;
        home_send(hub, channel, message);
        message_unref(message);
    }
    if (channel->history.count > 0) {
        home_forget(hub, channel);
        home_settle(hub, channel);
    }
    return 0;
}

/* Returns false when it is not through. */
static bool walk_part(struct hub *hub, struct gap *gap, unsigned *left)
{
    struct table_node *next;
    for (struct table_node *node = hub->home.table.parts[gap->part]; node; node = next) {
        struct channel_home *channel = (void *)node;
        next = node->hh.next;
        *left -= *left > 0;
        if (channel->epoch == gap->epoch ||
            !gap->scope->has(gap->scope, channel->name, channel->name_len))
            continue;
        uint64_t hash = hub_hash(hub->set, channel->name, channel->name_len);
        if (begin_anew(hub, channel, hash, gap->epoch) < 0)
            return false;
        gap->channels++;
    }
    return true;
}

void gap_turn(struct hub *hub)
{
    unsigned left = TURN_SWEEP;
    struct gap *gap;
    while (left > 0 && (gap = hub->gaps)) {
        for (; left > 0 && gap->part < TABLE_PARTS; gap->part++)
            if (!walk_part(hub, gap, &left))
                return;
        if (gap->part < TABLE_PARTS)
            return;
        hub->gaps = gap->next;
        hub_answer(hub, &gap->call);
    }
}

void gap_done(struct hub *hub)
{
    struct gap *next;
    for (struct gap *gap = hub->gaps; gap; gap = next) {
        next = gap->next;
        gap->call.ops->drop(&gap->call);
    }
    hub->gaps = NULL;
}
