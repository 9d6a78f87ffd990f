/* remote_leave: channels that are numbered elsewhere, when nobody here wants them any more. */
#include <stdlib.h>
#include <utlist.h>

#include "hub/hub_internal.h"

struct channel_home *remote_alloc(size_t name_len)
{
    struct home_remote *remote = calloc(1, sizeof *remote + name_len);
    return remote ? &remote->home : NULL;
}

void remote_want(struct hub *hub, struct home_remote *remote)
{
    if (remote->unwanted)
        DL_DELETE(hub->remote.unwanted, remote);
    remote->unwanted = false;
}

void remote_settle(struct hub *hub, struct channel_home *channel)
{
    struct home_remote *remote = remote_of(channel);
    if (lane_bits_any(&channel->shards))
        remote_want(hub, remote);
    if (lane_bits_any(&channel->shards) || remote->unwanted)
        return;
    remote->unwanted = true;
    remote->until_ns = time_after(hub->now_ns, hub->config->linger_ns);
    DL_APPEND(hub->remote.unwanted, remote);
}

/* One that cannot be told is told when the channel's next message comes. */
void remote_leave(struct hub *hub, const char *name, size_t len, uint64_t hash)
{
    if (hub->remote.closed)
        return;
    struct remote_ask *ask =
        remote_ask_create(hub, REMOTE_LEAVE, &hub->set->rules[0], name, len, hash);
    if (ask && remote_ask_send(hub, ask) < 0)
        remote_ask_free(ask);
}

void remote_free(struct hub *hub, struct channel_home *channel)
{
    struct home_remote *remote = remote_of(channel);
    assert(hub->remote.closed || !remote_holds(channel));
    remote_want(hub, remote);
    if (remote->phase != REMOTE_COLD)
        remote_leave(hub, channel->name, channel->name_len,
                     hub_hash(hub->set, channel->name, channel->name_len));
    remote_work_free(hub, remote->work);
    free(remote);
}

unsigned remote_sweep(struct hub *hub, unsigned left)
{
    struct remote_table *table = &hub->remote;
    for (struct home_remote *remote; left > 0 && (remote = table->unwanted); left--) {
        if (remote->until_ns > hub->now_ns || remote_holds(&remote->home))
            break;
        home_free(hub, &remote->home);
    }
    return left;
}
