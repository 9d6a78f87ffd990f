/* standing: where a connection stands in its channels, and the subscribing that leads there.
 *
 * A connection's chain of subscriptions is in the order in which its channels were asked for, and
 * the hub knows how far each has been delivered. So a position needs no memory of its own, however
 * many channels it has.
 *
 * Threads  The shard's. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"
#include "http/params.h"
#include "transport/encoder.h"
#include "wire/position.h"

/* Subscribes to all channels of a request, tags 0 … n-1; several are gathered, for an answer of so
 * many bytes or for a stream (GATHERING_UNBOUNDED). Returns 0, or a negative errno after taking all
 * back. */
int standing_subscribe(struct shard *shard, struct conn *conn, const struct params *params,
                       uint64_t answer_weight_max);

/* Fills `positions` (SETTINGS_CHANNELS_MAX) from the chain and points standing->at to
 * `subscription` (or HUB_NONE). Returns false while a subscription is not live yet; the places of
 * such are not set. */
bool standing_read(struct shard *shard, const struct conn *conn, uint32_t subscription,
                   struct position *positions, struct standing *ret);
