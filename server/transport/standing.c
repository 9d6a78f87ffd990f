#include "transport/standing.h"

#include <assert.h>
#include <stdlib.h>

struct hub_asker standing_asker(const struct shard *shard, const struct conn *conn, uint32_t tag)
{
    return (struct hub_asker){conn_slot(shard, conn), conn->generation, tag};
}

/* Until all channels have answered, the position of those that have not is the one that was asked
 * for. */
static void since_keep(struct conn *conn, const struct params *params)
{
    struct position *since = calloc(params->channel_count, sizeof *since);
    assert(since);
    for (unsigned i = 0; i < params->channel_count; i++)
        since[i] = (struct position){params->since[i].epoch, params->since[i].offset};
    conn_extra(conn)->since = since;
}

static void since_forget(struct conn *conn)
{
    if (!conn->extra || !conn->extra->since)
        return;
    free(conn->extra->since);
    conn->extra->since = NULL;
    conn_extra_trim(conn);
}

/* The hub puts a new subscription at the front of the chain: backwards gives the order of the
 * request. */
int standing_subscribe(struct shard *shard, struct conn *conn, const struct params *params)
{
    for (unsigned i = params->channel_count; i-- > 0;) {
        struct hub_asker asker = standing_asker(shard, conn, i);
        uint32_t subscription;
        int err = hub_subscribe(shard->hub, &conn->subscriptions, &asker, params->channels[i].ptr,
                                params->channels[i].len, &params->since[i], &subscription);
        if (err < 0) {
            hub_unsubscribe_all(shard->hub, &conn->subscriptions);
            return err;
        }
    }
    if (params->since_given)
        conn->flags |= CONN_SINCE | CONN_RECOVERED;
    if (params->channel_count > 1) {
        conn->flags |= CONN_SEVERAL;
        if (params->since_given)
            since_keep(conn, params);
    }
    return 0;
}

bool standing_read(struct shard *shard, struct conn *conn, uint32_t subscription,
                   struct position *positions, struct standing *ret)
{
    const struct position *since = conn->extra ? conn->extra->since : NULL;
    bool live = true, known = true;
    *ret = (struct standing){.positions = positions};
    for (uint32_t sub = conn->subscriptions; sub != HUB_NONE; sub = hub_next_of(shard->hub, sub)) {
        assert(ret->count < SETTINGS_CHANNELS_MAX);
        if (sub == subscription)
            ret->at = ret->count;
        struct position *position = &positions[ret->count];
        if (!hub_position(shard->hub, sub, &position->epoch, &position->offset)) {
            live = false;
            known &= since != NULL || sub == subscription;
            *position = since ? since[ret->count] : (struct position){1, 0};
        }
        ret->count++;
    }
    if (live)
        since_forget(conn);
    if (!known)
        ret->count = 0;
    return live;
}
