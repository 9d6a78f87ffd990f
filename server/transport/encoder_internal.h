/* encoder_internal: what the files of the encoder have for each other.
 *
 *   encoder.c            the frames of a batch, and answers to polls
 *   encode_websocket.c   messages in WebSocket frames
 *   encode_sse.c         messages as events
 *
 * Threads  The shard's. */
#pragma once

#include <assert.h>

#include "transport/encoder.h"
#include "wire/out.h"

/* Reserves room for a frame. Returns false when memory is out. */
static inline bool frame_begin(struct shard *shard, size_t size, struct out *ret)
{
    char *area = blocks_reserve(&shard->blocks, size);
    if (area)
        *ret = out_begin(area, size);
    return area;
}

static inline struct frame frame_end(struct shard *shard, const struct out *out)
{
    assert(!out->overflow && out->at <= out->end);
    return blocks_commit(&shard->blocks, (size_t)(out->at - out->start));
}

/* The delta of message number `i`; empty: it goes whole. */
static inline struct span delta_at(const struct span *deltas, unsigned i)
{
    return deltas ? deltas[i] : (struct span){0};
}

/* ---- encode_websocket.c: the same as encode_ws_…, each message deflated where that makes it
 * smaller ---- */

struct frame encode_ws_raw_deflated(struct shard *shard, struct message *const *messages,
                                    unsigned count);
struct frame encode_ws_envelopes_deflated(struct shard *shard, struct message *const *messages,
                                          unsigned count, const struct standing *standing);
