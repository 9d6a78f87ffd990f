/* channel_local: a channel where its subscribers are: answers, and the messages of a turn.
 *
 * The messages that one turn brings are collected per channel and given to each subscriber in one
 * call, so that they leave in one send. An answer in between ends the batch: those who are live get
 * what came before it, the new one has that from its replay, and what follows is for all. */
#include "hub/hub_internal.h"

void local_live(struct hub *hub, struct message *message)
{
    struct local_table *local = &hub->local;
    struct channel_local *channel =
        local_find(hub, message_name(message), message->name_len, message->hash);
    /* Subscribers that are not answered yet will have it from their replay. */
    if (!channel || channel->live == 0) {
        message_unref(message);
        return;
    }
    assert(local->nodes_count < local->nodes_max);
    uint32_t index = local->nodes_count++;
    local->nodes[index] = (struct batch_node){message, HUB_NONE};
    if (channel->batch_count++ == 0)
        channel->batch_first = index;
    else
        local->nodes[channel->batch_last].next = index;
    channel->batch_last = index;
    if (channel->dirty)
        return;
    channel->dirty = true;
    channel->next_dirty = NULL;
    if (local->dirty_first)
        local->dirty_last->next_dirty = channel;
    else
        local->dirty_first = channel;
    local->dirty_last = channel;
}

/* Moves the batch to the scratch, side by side. */
static struct hub_batch batch_take(struct local_table *local, struct channel_local *channel)
{
    struct hub_batch batch = {
        .name = channel->name,
        .name_len = channel->name_len,
        .messages = local->scratch,
        .count = channel->batch_count,
    };
    uint32_t node = channel->batch_first;
    for (unsigned i = 0; i < batch.count; i++) {
        local->scratch[i] = local->nodes[node].message;
        local->nodes[node].message = NULL;
        node = local->nodes[node].next;
    }
    channel->batch_count = 0;
    return batch;
}

/* The callbacks may take back or add any subscription: nothing on this list is freed meanwhile, and
 * what is added is behind and not live. */
static void deliver_to_all(struct hub *hub, struct channel_local *channel,
                           const struct hub_batch *batch)
{
    struct subscription *at = hub->subscriptions.at;
    uint64_t delivered = 0;
    channel->epoch = batch->messages[batch->count - 1]->epoch;
    channel->offset = batch->messages[batch->count - 1]->offset;
    hub->local.walking = channel;
    hub->ops.batch(hub->shard, batch);
    for (uint32_t index = channel->first; index != HUB_NONE; index = at[index].next_in_channel) {
        if (at[index].next_in_channel != HUB_NONE)
            __builtin_prefetch(&at[at[index].next_in_channel]);
        hub->visits++;
        if (!at[index].live)
            continue;
        delivered += batch->count;
        hub->ops.deliver(hub->shard, at[index].conn, index, batch);
    }
    hub->local.walking = NULL;
    counter_add(&hub->counters.delivered, delivered);
    subscription_compact(hub, channel);
}

static void deliver_channel(struct hub *hub, struct channel_local *channel)
{
    if (channel->batch_count == 0)
        return;
    assert(!hub->local.walking);
    struct hub_batch batch = batch_take(&hub->local, channel);
    if (channel->live > 0)
        deliver_to_all(hub, channel, &batch);
    for (unsigned i = 0; i < batch.count; i++)
        message_unref(batch.messages[i]);
}

bool local_deliver(struct hub *hub)
{
    struct local_table *local = &hub->local;
    while (local->dirty_first && hub->visits < TURN_VISITS) {
        struct channel_local *channel = local->dirty_first;
        deliver_channel(hub, channel);
        local->dirty_first = channel->next_dirty;
        channel->dirty = false;
    }
    if (local->dirty_first)
        return false;
    local->nodes_count = 0;
    return true;
}

/* Gives the replay in parts, as long as the subscription wants it. */
static void give(struct hub *hub, const struct request *request)
{
    const struct subscription *subscription = &hub->subscriptions.at[request->subscription];
    struct channel_local *channel = hub->local.channels[subscription->channel];
    if (request->err == 0) {
        channel->epoch = request->epoch;
        channel->offset = request->offset;
    }
    struct hub_reply reply = {
        .asker = request->asker,
        .subscription = request->subscription,
        .err = request->err,
        .epoch = request->epoch,
        .recovered = request->recovered,
    };
    unsigned given = 0;
    do {
        reply.messages = request->messages + given;
        reply.count = hub_reply_fit(hub->config, reply.messages, request->count - given);
        given += reply.count;
        reply.more = given < request->count;
        reply.offset = reply.more ? reply.messages[reply.count - 1]->offset : request->offset;
        hub->local.standing = reply.more || reply.err < 0 ? HUB_NONE : request->subscription;
        hub->ops.subscribed(hub->shard, &reply);
    } while (reply.more && !subscription_dead(subscription));
    hub->local.standing = HUB_NONE;
}

bool hub_position(const struct hub *hub, uint32_t subscription, uint64_t *ret_epoch,
                  uint64_t *ret_offset)
{
    const struct subscription *at = &hub->subscriptions.at[subscription];
    const struct channel_local *channel = hub->local.channels[at->channel];
    if (!at->live && subscription != hub->local.standing)
        return false;
    *ret_epoch = channel->epoch;
    *ret_offset = channel->offset;
    return true;
}

const char *hub_name_of(const struct hub *hub, uint32_t subscription, size_t *ret_len)
{
    const struct channel_local *channel =
        hub->local.channels[hub->subscriptions.at[subscription].channel];
    *ret_len = channel->name_len;
    return channel->name;
}

static void subscribed(struct hub *hub, struct request *request)
{
    const struct subscription *subscription = &hub->subscriptions.at[request->subscription];
    struct channel_local *channel = hub->local.channels[subscription->channel];
    if (request->home)
        channel->home = request->home;
    if (!subscription_dead(subscription)) {
        deliver_channel(hub, channel);
        /* That may have taken this one back. */
        if (!subscription_dead(subscription))
            give(hub, request);
    }
    subscription_answered(hub, request->subscription, request->err == 0);
    request_free(request);
}

static void read_done(struct hub *hub, struct request *request)
{
    struct hub_reply reply = {
        .asker = request->asker,
        .subscription = HUB_NONE,
        .err = request->err,
        .epoch = request->epoch,
        .offset = request->offset,
        .recovered = request->recovered,
        .more = request->more,
        .messages = request->messages,
        .count = request->count,
    };
    hub->ops.read(hub->shard, &reply);
    request_free(request);
}

void local_handle(struct hub *hub, const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_LIVE:
        local_live(hub, item->message);
        break;
    case ITEM_SUBSCRIBED:
        subscribed(hub, item->request);
        break;
    case ITEM_READ_DONE:
        read_done(hub, item->request);
        break;
    case ITEM_PUBLISHED:
        hub->ops.published(hub->shard, &item->asker, item->err, item->position.epoch,
                           item->position.offset);
        break;
    case ITEM_PUBLISH:
    case ITEM_SUBSCRIBE:
    case ITEM_READ:
    case ITEM_UNSUBSCRIBE:
        assert(!"a request went to a subscriber's shard");
    }
}
