#include "hub/hub_internal.h"

#include <errno.h>

#include "core/pages.h"

int subscription_pool_init(struct subscription_pool *pool, uint32_t subscriptions_max)
{
    /* Dead ones are at most half as many as the others, but for those that die while their list is
     * walked. */
    assert(subscriptions_max > 0 && subscriptions_max < CONN_NONE);
    uint32_t capacity = 2 * subscriptions_max;
    *pool = (struct subscription_pool){
        .at = pages_map(capacity * sizeof *pool->at),
        .capacity = capacity,
        .free = HUB_NONE,
    };
    return pool->at ? 0 : -ENOMEM;
}

void subscription_pool_done(struct subscription_pool *pool)
{
    pages_unmap(pool->at, pool->capacity * sizeof *pool->at);
    pool->at = NULL;
}

static uint32_t pool_take(struct subscription_pool *pool)
{
    uint32_t index = pool->free;
    if (index != HUB_NONE)
        pool->free = pool->at[index].next_of_conn;
    else if (pool->unused < pool->capacity)
        index = pool->unused++;
    return index;
}

static void pool_give(struct subscription_pool *pool, uint32_t index)
{
    pool->at[index].next_of_conn = pool->free;
    pool->free = index;
}

static void held_change(struct hub *hub, struct channel_local *channel, int change)
{
    channel->held += (uint32_t)change;
    hub->subscriptions.held += (uint32_t)change;
    counter_set(&hub->counters.subscriptions, hub->subscriptions.held);
}

int subscription_add(struct hub *hub, struct channel_local *channel, uint32_t conn, bool keeps_last,
                     uint32_t *chain, uint32_t *ret)
{
    struct subscription_pool *pool = &hub->subscriptions;
    assert(conn < CONN_NONE);
    if (pool->held == hub->config->subscriptions_max)
        return -ENOSPC;
    uint32_t index = pool_take(pool);
    if (index == HUB_NONE)
        return -ENOSPC;

    pool->at[index] = (struct subscription){
        .conn = conn,
        .keeps_last = keeps_last,
        .channel = channel->index,
        .next_in_channel = HUB_NONE,
        .next_of_conn = *chain,
    };
    if (channel->last == HUB_NONE)
        channel->first = index;
    else
        pool->at[channel->last].next_in_channel = index;
    channel->last = index;
    *chain = index;
    *ret = index;
    if (channel->held == 0)
        local_busy(hub, channel);
    held_change(hub, channel, 1);
    channel->keepers += keeps_last;
    return 0;
}

void subscription_compact(struct hub *hub, struct channel_local *channel)
{
    if (channel->dead <= channel->held / 2 || hub->local.walking == channel)
        return;
    struct subscription *at = hub->subscriptions.at;
    uint32_t last = HUB_NONE;
    uint32_t *link = &channel->first;
    while (*link != HUB_NONE) {
        uint32_t index = *link;
        if (subscription_dead(&at[index]) && at[index].answered) {
            *link = at[index].next_in_channel;
            pool_give(&hub->subscriptions, index);
        } else {
            last = index;
            link = &at[index].next_in_channel;
        }
    }
    channel->last = last;
    channel->dead = 0;
}

static void bury(struct hub *hub, struct channel_local *channel)
{
    channel->dead++;
    held_change(hub, channel, -1);
    if (channel->held == 0)
        local_idle(hub, channel);
    subscription_compact(hub, channel);
}

static void take_back(struct hub *hub, uint32_t index)
{
    struct subscription *subscription = &hub->subscriptions.at[index];
    struct channel_local *channel = hub->local.channels[subscription->channel];
    assert(!subscription_dead(subscription));
    subscription->conn = CONN_NONE;
    if (subscription->keeps_last && --channel->keepers == 0)
        local_last_set(hub, channel, NULL);
    if (subscription->live) {
        subscription->live = 0;
        channel->live--;
    }
    if (subscription->answered)
        bury(hub, channel);
}

void subscription_answered(struct hub *hub, uint32_t index, bool live)
{
    struct subscription *subscription = &hub->subscriptions.at[index];
    struct channel_local *channel = hub->local.channels[subscription->channel];
    assert(!subscription->answered);
    subscription->answered = 1;
    if (subscription_dead(subscription)) {
        bury(hub, channel);
    } else if (live) {
        subscription->live = 1;
        channel->live++;
    }
}

void hub_unsubscribe(struct hub *hub, uint32_t *chain, uint32_t subscription)
{
    struct subscription *at = hub->subscriptions.at;
    uint32_t *link = chain;
    while (*link != subscription) {
        assert(*link != HUB_NONE);
        link = &at[*link].next_of_conn;
    }
    *link = at[subscription].next_of_conn;
    take_back(hub, subscription);
}

void hub_unsubscribe_all(struct hub *hub, uint32_t *chain)
{
    while (*chain != HUB_NONE) {
        uint32_t index = *chain;
        *chain = hub->subscriptions.at[index].next_of_conn;
        take_back(hub, index);
    }
}

bool hub_keeps_last(const struct hub *hub, uint32_t subscription)
{
    return hub->subscriptions.at[subscription].keeps_last;
}

bool hub_took_last(struct hub *hub, uint32_t subscription)
{
    struct subscription *at = &hub->subscriptions.at[subscription];
    bool took = at->took_last;
    assert(at->keeps_last && at->live);
    at->took_last = 1;
    return took;
}

uint32_t hub_next_of(const struct hub *hub, uint32_t subscription)
{
    return hub->subscriptions.at[subscription].next_of_conn;
}
