/* catch_up: a stream that is still given what it missed, part by part.
 *
 *   part queued ─► all has left (drained) ─► hub_resume ─► next part … ─► live
 *
 * Idea     A replay is read from the history as fast as its reader takes it, channel by channel,
 *          and never queued whole. A reader that is slower than the history turns over is cut off.
 * Threads  The shard's.
 * Memory   On the heap, in conn_extra, until all channels are live: where each stands.
 * Bounds   One part for a connection: PART_BYTES of payload, or one message. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"
#include "wire/position.h"

/* The channel with this place in the request has more to give behind the position. Returns 0 or
 * -ENOMEM. */
int catch_up_note(struct shard *shard, struct conn *conn, unsigned place, uint64_t epoch,
                  uint64_t offset);

/* The channel has given all, and is live. */
void catch_up_done(struct shard *shard, struct conn *conn, unsigned place);

/* How far it has been given, if it is not live yet. */
bool catch_up_position(const struct conn *conn, unsigned place, struct position *ret);

/* Asks for the next part, now or when what is queued has left. May end the connection. */
void catch_up_go_on(struct shard *shard, struct conn *conn);

/* All has left: a stream that was paused reads on, and one that catches up is given more. */
void catch_up_drained(struct shard *shard, struct conn *conn);

/* Frees it, if there is one. */
void catch_up_end(struct conn *conn);
