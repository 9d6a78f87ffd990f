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
    channel->batch_bytes += message->payload_len;
    channel->batch_class = (uint8_t)message_class(message);
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
        .subscribers = channel->live,
    };
    uint32_t node = channel->batch_first;
    for (unsigned i = 0; i < batch.count; i++) {
        local->scratch[i] = local->nodes[node].message;
        local->nodes[node].message = NULL;
        node = local->nodes[node].next;
    }
    channel->batch_count = 0;
    channel->batch_bytes = 0;
    return batch;
}

static void local_now(struct hub *hub, const struct item *item);

/* What a visit counts for, with what has come so far. */
static uint64_t visit_cost(const struct channel_local *channel)
{
    return 1 + channel->batch_bytes / VISIT_BYTES;
}

void local_last_set(struct hub *hub, struct channel_local *channel, struct message *message)
{
    uint64_t most = hub->config->last_total_bytes_max, cost = message ? history_cost(message) : 0;
    message_unref(local_last_take(hub, channel));
    if (!message || channel->keepers == 0 || message->payload_len > hub->config->last_bytes_max ||
        hub->local.last_bytes + cost > most)
        return;
    channel->newest = message_ref(message);
    hub->local.last_bytes += cost;
}

struct message *local_last_take(struct hub *hub, struct channel_local *channel)
{
    struct message *last = channel->newest;
    channel->newest = NULL;
    hub->local.last_bytes -= last ? history_cost(last) : 0;
    return last;
}

/* Whether a message comes right behind another. */
static bool follows(const struct message *message, const struct message *before)
{
    return before && before->epoch == message->epoch && before->offset + 1 == message->offset;
}

/* What was given last is then in no history, and has no place of its own: nothing follows it. */
static bool has_ephemeral(const struct hub_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        if (batch->messages[i]->kind == MESSAGE_EPHEMERAL)
            return true;
    return false;
}

/* Those who keep the last message have a new one from now on. */
static void last_go_on(struct hub *hub, struct channel_local *channel, struct hub_batch *batch)
{
    struct message *last = batch->messages[batch->count - 1];
    if (channel->keepers == 0)
        return;
    if (last->kind != MESSAGE_PUBLICATION) {
        if (has_ephemeral(batch))
            local_last_set(hub, channel, NULL);
        return;
    }
    struct message *before = local_last_take(hub, channel);
    if (follows(batch->messages[0], before))
        batch->before = before;
    else
        message_unref(before);
    local_last_set(hub, channel, last);
}

static void walk_begin(struct hub *hub, struct channel_local *channel)
{
    struct local_table *local = &hub->local;
    local->walk_cost = visit_cost(channel);
    local->walk_batch = batch_take(local, channel);
    const struct message *last = local->walk_batch.messages[local->walk_batch.count - 1];
    local->walking = channel;
    local->walk_at = channel->live > 0 ? channel->first : HUB_NONE;
    if (local->walk_at == HUB_NONE)
        return;
    channel->epoch = last->epoch;
    channel->offset = last->offset;
    last_go_on(hub, channel, &local->walk_batch);
    hub->ops.batch(hub->shard, &local->walk_batch);
}

static void walk_end(struct hub *hub)
{
    struct local_table *local = &hub->local;
    struct channel_local *channel = local->walking;
    for (unsigned i = 0; i < local->walk_batch.count; i++)
        message_unref(local->walk_batch.messages[i]);
    message_unref(local->walk_batch.before);
    local->walking = NULL;
    local->walk_batch.count = 0;
    local->walk_batch.before = NULL;
    hub->ops.batch_done(hub->shard);
    subscription_compact(hub, channel);
}

typedef void deliver_op(void *shard, uint32_t conn, uint32_t subscription,
                        const struct hub_batch *batch);

static deliver_op *deliver_of(const struct hub *hub, enum message_class class)
{
    switch (class) {
    case CLASS_PUBLICATIONS:
        return hub->ops.deliver;
    case CLASS_EPHEMERAL:
    case CLASS_EVENTS:
        return hub->ops.deliver_events;
    case CLASS_GAP:
        break;
    }
    return hub->ops.lost;
}

/* Goes on with the walk. Returns false when it is not over: the turn has had its visits. The
 * callbacks may take back or add any subscription: nothing on this list is freed meanwhile, and
 * what is added is behind and not live. */
static bool walk(struct hub *hub)
{
    struct local_table *local = &hub->local;
    struct subscription *at = hub->subscriptions.at;
    const struct hub_batch *batch = &local->walk_batch;
    deliver_op *deliver = deliver_of(hub, message_class(batch->messages[0]));
    uint64_t delivered = 0;
    uint32_t index = local->walk_at;
    for (; index != HUB_NONE && hub->visits < hub->visits_max; index = at[index].next_in_channel) {
        if (at[index].next_in_channel != HUB_NONE)
            __builtin_prefetch(&at[at[index].next_in_channel]);
        hub->visits += local->walk_cost;
        if (!at[index].live || !deliver)
            continue;
        delivered += batch->count;
        deliver(hub->shard, at[index].conn, index, batch);
    }
    local->walk_at = index;
    counter_add(&hub->counters.delivered, delivered);
    if (index == HUB_NONE)
        walk_end(hub);
    return index == HUB_NONE;
}

/* Returns false when it could only begin. */
static bool deliver_channel(struct hub *hub, struct channel_local *channel)
{
    if (channel->batch_count == 0)
        return true;
    assert(!hub->local.walking);
    walk_begin(hub, channel);
    return walk(hub);
}

static bool deliver_dirty(struct hub *hub)
{
    struct local_table *local = &hub->local;
    if (local->walking && !walk(hub))
        return false;
    while (local->dirty_first && hub->visits < hub->visits_max) {
        struct channel_local *channel = local->dirty_first;
        if (!deliver_channel(hub, channel))
            return false;
        local->dirty_first = channel->next_dirty;
        channel->dirty = false;
    }
    if (local->dirty_first)
        return false;
    local->nodes_count = 0;
    local->events = false;
    return true;
}

/* Whether this turn has the visits for a walk over all of a channel's list. */
static bool walk_fits(const struct hub *hub, const struct channel_local *channel)
{
    return hub->visits + visit_cost(channel) * (channel->held + channel->dead) < hub->visits_max;
}

/* The channel whose batch is of the other kind than this message, which ends it; or NULL. Where
 * there are no events nobody has to look. */
static struct channel_local *ended_by(const struct hub *hub, const struct message *message)
{
    enum message_class class = message_class(message);
    if (class == CLASS_PUBLICATIONS && !hub->local.events)
        return NULL;
    struct channel_local *channel =
        local_find(hub, message_name(message), message->name_len, message->hash);
    bool ends = channel && channel->batch_count > 0 && channel->batch_class != class;
    return ends ? channel : NULL;
}

/* An answer ends the batch of its channel, and so does a message of the other kind. If that takes
 * more than this turn has, it waits for the walk, and behind it everything that came later. */
static bool must_wait(const struct hub *hub, const struct item *item)
{
    if (item->kind == ITEM_LIVE) {
        const struct channel_local *ended = ended_by(hub, item->message);
        return ended && !walk_fits(hub, ended);
    }
    if (item->kind != ITEM_SUBSCRIBED || item->request->more)
        return false;
    const struct subscription *subscription = &hub->subscriptions.at[item->request->subscription];
    const struct channel_local *channel = hub->local.channels[subscription->channel];
    return channel->batch_count > 0 && !walk_fits(hub, channel);
}

bool local_waits(const struct hub *hub)
{
    return hub->local.deferred.count > 0;
}

bool local_deliver(struct hub *hub)
{
    struct item_queue *deferred = &hub->local.deferred;
    while (deliver_dirty(hub)) {
        if (deferred->count == 0)
            return true;
        do {
            struct item item = *item_queue_first(deferred);
            if (must_wait(hub, &item))
                break;
            item_queue_drop(deferred);
            local_now(hub, &item);
        } while (deferred->count > 0);
    }
    return false;
}

/* What is made of it takes its time by its bytes. */
static void count_replayed(struct hub *hub, const struct hub_reply *reply)
{
    for (unsigned i = 0; i < reply->count; i++)
        hub->replayed_bytes += reply->messages[i]->payload_len;
}

static void give(struct hub *hub, const struct request *request)
{
    struct subscription *subscription = &hub->subscriptions.at[request->subscription];
    struct channel_local *channel = hub->local.channels[subscription->channel];
    bool live = request->err == 0 && !request->more;
    if (live) {
        channel->epoch = request->epoch;
        channel->offset = request->offset;
    }
    if (live && subscription->keeps_last && request->count > 0) {
        subscription->took_last = 1;
        local_last_set(hub, channel, request->messages[request->count - 1]);
    }
    const struct hub_reply reply = {
        .ticket = request->ticket,
        .subscription = request->subscription,
        .err = request->err,
        .epoch = request->epoch,
        .offset = request->offset,
        .recovered = request->recovered,
        .was_recovering = request->since.from == HUB_FROM_POSITION,
        .more = request->more,
        .ended = request->ended,
        .resumed = request->resumed,
        .messages = request->messages,
        .count = request->count,
    };
    count_replayed(hub, &reply);
    hub->local.standing = live ? request->subscription : HUB_NONE;
    hub->ops.subscribed(hub->shard, &reply);
    hub->local.standing = HUB_NONE;
}

bool hub_position(const struct hub *hub, uint32_t subscription, uint64_t *ret_epoch,
                  uint64_t *ret_offset)
{
    const struct subscription *at = &hub->subscriptions.at[subscription];
    const struct channel_local *channel = hub->local.channels[at->channel];
    if (!at->live && subscription != hub->local.standing)
        return false;
    /* Between turns, in the middle of a walk: some have the batch, and some not yet. */
    if (hub->local.walking == channel && !hub->in_turn)
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
        bool delivered = request->more || deliver_channel(hub, channel);
        assert(delivered);
        /* That may have taken this one back. */
        if (!subscription_dead(subscription))
            give(hub, request);
    }
    subscription_answered(hub, request->subscription, request->err == 0 && !request->more);
    request_free(request);
}

static void live(struct hub *hub, struct message *message)
{
    struct channel_local *ended = ended_by(hub, message);
    bool delivered = !ended || deliver_channel(hub, ended);
    assert(delivered);
    hub->local.events |= message->kind != MESSAGE_PUBLICATION;
    local_live(hub, message);
}

static void read_done(struct hub *hub, struct request *request)
{
    struct hub_reply reply = {
        .ticket = request->ticket,
        .subscription = HUB_NONE,
        .err = request->err,
        .epoch = request->epoch,
        .offset = request->offset,
        .recovered = request->recovered,
        .more = request->more,
        .ended = request->ended,
        .messages = request->messages,
        .count = request->count,
    };
    count_replayed(hub, &reply);
    hub->ops.read(hub->shard, &reply);
    request_free(request);
}

void local_handle(struct hub *hub, const struct item *item)
{
    if (!local_waits(hub) && !must_wait(hub, item)) {
        local_now(hub, item);
        return;
    }
    int err = item_queue_push(&hub->local.deferred, item);
    assert(!err && "its place was reserved");
}

static void local_now(struct hub *hub, const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_LIVE:
        live(hub, item->message);
        break;
    case ITEM_SUBSCRIBED:
        subscribed(hub, item->request);
        break;
    case ITEM_READ_DONE:
        read_done(hub, item->request);
        break;
    case ITEM_PUBLISHED:
        hub->ops.published(hub->shard, &item->ticket, item->err, item->position.epoch,
                           item->position.offset);
        break;
    case ITEM_PUBLISH:
    case ITEM_SUBSCRIBE:
    case ITEM_READ:
    case ITEM_UNSUBSCRIBE:
    case ITEM_CALL:
    case ITEM_CALLED:
        assert(!"a request or a call went to a subscriber's shard");
    }
}
