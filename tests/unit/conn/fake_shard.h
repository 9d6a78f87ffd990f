/* fake_shard: one shard over the fake kernel without its surprises, and a clock that only the test
 * moves.
 *
 *   fake_shard_init ─► settings, transports, TLS of the test's choice ─► fake_shard_start ─► … done
 *
 * Threads  one.
 * Memory   fake_shard_done gives back what start made. */
#pragma once

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/shard.h"
#include "core/ring.h"
#include "hub/hub.h"
#include "ring_fake.h"

#define FAKE_SHARD_MS INT64_C(1000000)
#define FAKE_SHARD_S  (1000 * FAKE_SHARD_MS)

struct fake_shard {
    struct settings settings;
    struct server server;
    struct shard *shard;
    struct fake_net *net;
    int listeners[RING_LISTENERS_MAX]; /* by enum listener */
};

static inline void fake_shard_init(struct fake_shard *fake)
{
    *fake = (struct fake_shard){
        .server = {.settings = &fake->settings, .shards = &fake->shard, .shard_count = 1},
    };
    settings_default(&fake->settings);
}

/* With so many slots, and so many bytes in each direction of a connection. */
static inline void fake_shard_start(struct fake_shard *fake, uint32_t slots, uint32_t pipe_bytes)
{
    const struct hub_config hub = {
        .shards = 1,
        .channels_max = 16,
        .subscriptions_max = slots,
        .history_messages_max = 16,
        .history_bytes_max = UINT64_C(1) << 20,
        .history_age_ns = FAKE_SHARD_S,
        .history_total_bytes_max = UINT64_C(1) << 20,
        .reply_bytes_max = UINT64_C(1) << 20,
        .linger_ns = FAKE_SHARD_S,
        .overflow_max = 1024,
        .lane_slots = 64,
    };
    fake->settings.max_connections = slots;
    struct fake_config config = fake_config_calm();
    config.pipe_bytes_min = config.pipe_bytes_max = pipe_bytes;
    fake->net = fake_net_create(&config);
    fake_net_advance(fake->net, 1000 * FAKE_SHARD_S); /* a server never sees a small clock */
    fake->server.hubs = hub_set_create(&hub);
    assert(fake->server.hubs);
    const struct ring_config ring = {.capacity = slots};
    char why[256];
    int err = shard_create(&fake->shard, &fake->server, 0, ring_fake_create(fake->net, &ring),
                           fake_net_now(fake->net), why, sizeof why);
    assert(err == 0);
    for (enum listener i = LISTENER_PLAIN; i <= LISTENER_TLS; i++) {
        /* The shard wants a descriptor, to close it when it drains. */
        fake->listeners[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert(fake->listeners[i] >= 0);
        shard_listen(fake->shard, i, fake->listeners[i]);
    }
}

/* What there is to do now. */
static inline void fake_shard_turn(struct fake_shard *fake)
{
    int64_t wait_ns = 0;
    while (wait_ns == 0 || ring_fake_due(fake->shard->ring) <= fake_net_now(fake->net)) {
        ring_wait(fake->shard->ring, 0);
        wait_ns = shard_turn(fake->shard, fake_net_now(fake->net));
    }
}

/* The clock goes on by a tick of the timers. */
static inline void fake_shard_tick(struct fake_shard *fake)
{
    fake_net_advance(fake->net, fake_net_now(fake->net) + TIMERS_TICK_NS);
    fake_shard_turn(fake);
}

static inline void fake_shard_done(struct fake_shard *fake)
{
    shard_free(fake->shard);
    hub_set_free(fake->server.hubs);
    fake_net_free(fake->net);
}
