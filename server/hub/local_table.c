/* local_table: the channels that have subscribers on this shard: found, made, forgotten. */
#include "hub/hub_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/pages.h"

static_assert(offsetof(struct channel_local, node) == 0, "what table_find gives is the channel");

int local_init(struct hub *hub)
{
    struct local_table *local = &hub->local;
    const struct hub_config *config = hub->config;
    /* Each item that a turn takes brings one message at most, and none is taken before all are
     * delivered. */
    local->standing = HUB_NONE;
    local->nodes_max = (config->shards - 1) * hub->items_per_lane + TURN_ITEMS_OWN +
                       (config->broker ? (unsigned)TURN_REMOTE : 0);
    local->nodes = pages_map(local->nodes_max * sizeof *local->nodes);
    local->scratch = pages_map(local->nodes_max * sizeof(struct message *));
    local->channels = pages_map(config->channels_max * sizeof(struct channel_local *));
    local->free = pages_map(config->channels_max * sizeof *local->free);
    if (!local->nodes || !local->scratch || !local->channels || !local->free)
        return -ENOMEM;
    /* Nothing is taken any more once something waits, but for what was taken together with it. */
    return item_queue_reserve(&local->deferred, TAKE_ITEMS + 1);
}

static void channel_free(struct hub *hub, struct channel_local *channel)
{
    struct local_table *local = &hub->local;
    table_remove(&local->table, &channel->node);
    local->channels[channel->index] = NULL;
    local_last_set(hub, channel, NULL);
    local->free[local->free_count++] = channel->index;
    free(channel);
}

void local_done(struct hub *hub)
{
    struct local_table *local = &hub->local;
    for (uint32_t i = 0; i < local->nodes_count; i++)
        message_unref(local->nodes[i].message);
    for (unsigned i = 0; i < local->walk_batch.count; i++)
        message_unref(local->walk_batch.messages[i]);
    message_unref(local->walk_batch.before);
    item_queue_done(&local->deferred);
    unsigned part = 0;
    for (void *channel; (channel = table_any(&local->table, &part));)
        channel_free(hub, channel);
    pages_unmap(local->nodes, local->nodes_max * sizeof *local->nodes);
    pages_unmap(local->scratch, local->nodes_max * sizeof(struct message *));
    pages_unmap(local->channels, hub->config->channels_max * sizeof(struct channel_local *));
    pages_unmap(local->free, hub->config->channels_max * sizeof *local->free);
}

struct channel_local *local_find(const struct hub *hub, const char *name, size_t len, uint64_t hash)
{
    return (void *)table_find(&hub->local.table, name, len, hash);
}

/* Lets go of a channel that nobody here wants. The home shard's handle stays valid until it has
 * taken this item: our bit is set there, and every subscription that we asked for has been
 * answered. */
static bool retire(struct hub *hub, struct channel_local *channel)
{
    assert(channel->held == 0);
    if (channel->dirty || exchange_reserve(hub, channel->home_shard) < 0)
        return false;
    assert(hub->local.walking != channel && channel->first == HUB_NONE);
    local_busy(hub, channel);
    if (channel->home) {
        struct item item = {.kind = ITEM_UNSUBSCRIBE, .home = channel->home};
        exchange_send(hub, channel->home_shard, &item);
    }
    channel_free(hub, channel);
    return true;
}

static int index_take(struct hub *hub, uint32_t *ret)
{
    struct local_table *local = &hub->local;
    if (local->free_count == 0 && local->unused == hub->config->channels_max) {
        /* One that nobody wants need not linger where its place is wanted. */
        if (!local->idle || !retire(hub, local->idle))
            return -ENOSPC;
    }
    *ret = local->free_count ? local->free[--local->free_count] : local->unused++;
    return 0;
}

static struct channel_local *channel_create(struct hub *hub, const char *name, size_t len,
                                            uint64_t hash, uint32_t index)
{
    struct local_table *local = &hub->local;
    struct channel_local *channel = malloc(sizeof *channel + len);
    if (!channel)
        return NULL;
    *channel = (struct channel_local){
        .index = index,
        .first = HUB_NONE,
        .last = HUB_NONE,
        .home_shard = (uint8_t)home_of(hash, hub->config->shards),
        .name_len = (uint8_t)len,
    };
    memcpy(channel->name, name, len);
    if (table_insert(&local->table, &channel->node, channel->name, len, hash) != 0) {
        free(channel);
        return NULL;
    }
    local->channels[index] = channel;
    local_idle(hub, channel);
    return channel;
}

int local_open(struct hub *hub, const char *name, size_t len, uint64_t hash,
               struct channel_local **ret)
{
    struct channel_local *channel = local_find(hub, name, len, hash);
    if (!channel) {
        uint32_t index;
        int err = index_take(hub, &index);
        if (err)
            return err;
        channel = channel_create(hub, name, len, hash, index);
        if (!channel) {
            hub->local.free[hub->local.free_count++] = index;
            return -ENOMEM;
        }
    }
    *ret = channel;
    return 0;
}

void local_idle(struct hub *hub, struct channel_local *channel)
{
    channel->idle_until_ns = time_after(hub->now_ns, hub->config->linger_ns);
    DL_APPEND(hub->local.idle, channel);
}

void local_busy(struct hub *hub, struct channel_local *channel)
{
    DL_DELETE(hub->local.idle, channel);
}

bool local_sweep(struct hub *hub)
{
    struct local_table *local = &hub->local;
    unsigned left = TURN_SWEEP;
    while (left > 0 && local->idle && local->idle->idle_until_ns <= hub->now_ns) {
        if (!retire(hub, local->idle))
            break;
        left--;
    }
    return left == 0;
}

bool hub_channel_at(const struct hub *hub, uint32_t at, const char **ret_name, size_t *ret_len,
                    uint32_t *ret_subscribers)
{
    const struct local_table *local = &hub->local;
    if (at >= local->unused)
        return false;
    const struct channel_local *channel = local->channels[at];
    *ret_subscribers = channel ? channel->live : 0;
    if (channel) {
        *ret_name = channel->name;
        *ret_len = channel->name_len;
    }
    return true;
}
