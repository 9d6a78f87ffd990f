/* deltas: what changed from each message of a batch to the next, made once for all who are given
 * it.
 *
 *   before ─► message ─► message ─► …        the batch, and what its readers were given before
 *          Δ          Δ
 *
 * Idea     docs/decisions/deltas.md. A message goes whole where it has none: it is not marked as
 *          one that may have, the one before is not known, one of both is no UTF-8, or it would be
 *          no shorter.
 * Threads  The shard's.
 * Memory   Of the batch, until deltas_release; what makes them until deltas_done.
 * Bounds   delta_bytes_max of a message, and of the one before. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"
#include "wire/span.h"

/* One for each message of the batch that is being delivered, empty where it goes whole. NULL: all
 * do, also for want of memory. */
const struct span *deltas_of(struct shard *shard, const struct hub_batch *batch);

/* Forgets those of the batch. */
void deltas_release(struct shard *shard);
void deltas_done(struct shard *shard);
