#include "transport/standing.h"

#include <assert.h>

#include "conf/namespaces.h"
#include "transport/catch_up.h"
#include "transport/gathering.h"

/* Whether a stream that asked is given what changes in this channel. */
static bool has_deltas(struct shard *shard, struct span channel)
{
    bool has = namespace_of(&shard->settings->namespaces, channel)->delta != DELTAS_OFF;
    counter_add(&shard->counters.deltas_declined, !has);
    return has;
}

/* The hub puts a new subscription at the front of the chain: backwards gives the order of the
 * request. */
int standing_subscribe(struct shard *shard, struct conn *conn, const struct params *params,
                       uint64_t answer_weight_max)
{
    for (unsigned i = params->channel_count; i-- > 0;) {
        struct ticket ticket = conn_ticket(shard, conn, i);
        struct hub_since since = params->since[i];
        uint32_t subscription;
        since.keeps_last = params->delta && answer_weight_max == GATHERING_UNBOUNDED &&
                           has_deltas(shard, params->channels[i]);
        if (since.keeps_last)
            conn->asked |= ASKED_DELTA;
        /* A stream is told where it stands in all of them before it is given the first message. */
        since.hold = params->channel_count > 1 && answer_weight_max == GATHERING_UNBOUNDED;
        int err = hub_subscribe(shard->hub, &conn->subscriptions, &ticket, params->channels[i].ptr,
                                params->channels[i].len, &since, &subscription);
        if (err < 0) {
            hub_unsubscribe_all(shard->hub, &conn->subscriptions);
            return err;
        }
    }
    if (params->since_given)
        conn->asked |= ASKED_SINCE | ASKED_RECOVERED;
    if (params->channel_count > 1) {
        conn->asked |= ASKED_SEVERAL;
        int err = gathering_begin(shard, conn, params->channel_count, answer_weight_max);
        if (err < 0)
            hub_unsubscribe_all(shard->hub, &conn->subscriptions);
        return err;
    }
    return 0;
}

bool standing_read(struct shard *shard, const struct conn *conn, uint32_t subscription,
                   struct position *positions, struct standing *ret)
{
    bool live = true;
    *ret = (struct standing){.positions = positions};
    for (uint32_t sub = conn->subscriptions; sub != HUB_NONE; sub = hub_next_of(shard->hub, sub)) {
        assert(ret->count < SETTINGS_CHANNELS_MAX);
        if (sub == subscription)
            ret->at = ret->count;
        struct position *position = &positions[ret->count];
        live &= hub_position(shard->hub, sub, &position->epoch, &position->offset) ||
                catch_up_position(conn, ret->count, position);
        ret->count++;
    }
    return live;
}
