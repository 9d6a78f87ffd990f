/* nats: the engine of a broker, over NATS with JetStream: asks in, answers and news out. Internal
 * to broker/.
 *
 *   publish ─► the stream, if nobody has published since we looked ─► number ─► answer
 *                       └─► republished ─► every node that has subscribed ─► remote_live
 *   join ─► SUB, then the newest message of the channel, then those that are missing ─► answer
 *
 * Decision: docs/decisions/nats.md.
 *
 * Threads  The broker's, but for nats_create and nats_connect. The library's threads only append to
 *          what has come (nats_link.h).
 * Memory   A line for each channel that is joined or published to, at most CHANNELS_IDLE_MAX that
 *          are neither now; what has come, up to its bound; asks that wait.
 * Bounds   nats_config.queue_max publishes that wait while NATS is away, one question of a channel
 *          under way, BATCH_MAX messages in it. Each ask is answered within twice the timeout. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/engine.h"
#include "broker/nats_link.h"

struct nats;

struct nats_config {
    struct nats_address address;
    uint32_t queue_max;
    bool durable; /* what was acknowledged is there when NATS has been started again */
    size_t message_bytes_max;
    uint64_t seed;
};

extern const struct engine_ops nats_engine;

/* Returns NULL when memory is out. */
struct nats *nats_create(const struct nats_config *config);
