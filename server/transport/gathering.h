/* gathering: the hub's replies to one request for several channels, until the last one is there.
 *
 * Then the client can be told where it stands in all of them, before it is given the first message.
 * What channels that answered early bring meanwhile is gathered behind their replies.
 *
 * Threads  The shard's.
 * Memory   On the heap, in conn_extra; holds references on the messages.
 * Bounds   For an answer, weight over all channels. For a stream, what the hub gives in answer to
 *          one request per channel, and of live messages queue_bytes_max: stream.c. */
#pragma once

#include <stdbool.h>

#include "conn/conn.h"
#include "hub/hub.h"
#include "transport/encoder.h"
#include "wire/position.h"

#define GATHERING_UNBOUNDED UINT64_MAX

/* Begins one. The connection must have none. An answer has messages of at most `weight_max`
 * (json_weight) and HUB_REPLY_MESSAGES_MAX of them over all channels, but one message however
 * large; what is left is behind the positions that it tells. Returns 0 or -ENOMEM. */
int gathering_begin(struct shard *shard, struct conn *conn, unsigned channels, uint64_t weight_max);

/* The present one, or NULL. */
struct gathering *gathering_of(const struct conn *conn);

/* Takes the reply to the request with tag reply->ticket.tag. Returns 1 when all channels have
 * answered, 0 when not, or -ENOMEM: then the request cannot be answered any more. */
int gathering_reply(struct gathering *gathering, const struct hub_reply *reply);

/* Whether the channel with this tag has more than it was asked for at first, and behind where. */
bool gathering_more(const struct gathering *gathering, unsigned tag, struct position *ret);

/* Takes live messages of the channel with this tag. Returns 0 or -ENOMEM, likewise. */
int gathering_live(struct gathering *gathering, unsigned tag, const struct hub_batch *batch);

/* What those have together, with their places: a stream that waits too long for its last channel is
 * the caller's to end. */
uint64_t gathering_live_bytes(const struct gathering *gathering);

/* True when every channel that was asked for a position could honour it. */
bool gathering_recovered(const struct gathering *gathering);

/* What there is, in the order in which it came, with the positions behind it. Valid until
 * gathering_end. */
struct json_answer gathering_answer(const struct gathering *gathering);

/* The positions before the first message, one per channel. */
const struct position *gathering_start(const struct gathering *gathering, unsigned *ret_count);

/* Walks the messages in runs of one channel: gives a run, and where the client stands while it gets
 * it, with standing->at set. Start with *cursor = 0 and `positions` as gathering_start has them.
 * Returns the run's length, 0 at the end. */
unsigned gathering_run(const struct gathering *gathering, unsigned *cursor,
                       struct standing *standing, struct message *const **ret_messages);

/* Frees it, if there is one. */
void gathering_end(struct conn *conn);
