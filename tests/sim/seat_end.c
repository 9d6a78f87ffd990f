/* What must hold of presence when all is calm. */
#include <inttypes.h>

#include "client.h"
#include "session/presence_home.h"
#include "session/session.h"

static unsigned subscribed(const struct sim *sim, struct span channel)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sim->server.shard_count; i++) {
        const struct shard *shard = sim->shards[i];
        for (uint32_t slot = 0; slot < shard->slab_slots; slot++) {
            const struct conn *conn = &shard->slab[slot];
            if (conn->state != CONN_OPEN || !(conn->role & ROLE_SESSION))
                continue;
            uint32_t at = session_of(shard, conn)->channels;
            for (; at != HUB_NONE; at = hub_next_of(shard->hub, at)) {
                struct span own;
                own.ptr = hub_name_of(shard->hub, at, &own.len);
                count += span_equal(own, channel);
            }
        }
    }
    return count;
}

void seats_are_present(const struct sim *sim)
{
    for (unsigned channel = 0; channel < sim->channel_count; channel++) {
        char name[32];
        unsigned clients = 0, users, all = 0;
        client_channel_name(channel, name);
        for (unsigned i = 0; i < sim->server.shard_count; i++) {
            presence_home_count(sim->shards[i]->presence, span_from(name), sim_now(sim), &clients,
                                &users);
            all += clients;
        }
        const struct namespace *namespace = &sim->settings.namespaces.list[0];
        bool kept = namespace->presence || namespace->join_leave;
        unsigned there = kept ? subscribed(sim, span_from(name)) : 0;
        sim_check(sim, all == there || (sim->crowded && all < there),
                  "channel %u: %u are present, and %u subscribed", channel, all, there);
    }
}
