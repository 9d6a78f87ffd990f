/* answering: the answer to a poll or a long poll: at once where it is small, in pieces where it is
 * not.
 *
 *   answering_begin ─┬─ small ─► one frame with its length ─► queued
 *                    └─ else ─► TRANSPORT_ANSWER, waits ─► piece queued ─► all has left ─► waits …
 *                                  first come first served, ANSWERS_TURN_BYTES in a turn
 *
 * Idea     What a turn spends on encoding is bounded, however much is asked for, and what waits for
 *          one client is a piece, however large its answer is.
 * Threads  The shard's.
 * Memory   An answer under way is on the heap, as conn_extra's transport_state, and holds
 *          references on its messages; what these keep is charged while the client's socket is full
 *          (BUDGET_KEPT).
 * Bounds   See below; the messages by answer_weight_max. */
#pragma once

#include <stdbool.h>

#include "conn/shard.h"
#include "http/exchange.h"
#include "transport/json.h"

enum {
    ANSWER_WHOLE_WEIGHT = 16 * 1024, /* of messages: an answer up to here has its length in its
                                        head, and is one frame */
    ANSWERS_AT_ONCE_BYTES = 1 << 20, /* made in a turn: whole answers beyond it wait */
    ANSWER_PIECE_BYTES = 60 * 1024,  /* of a body: with what frames it, in one block */
    ANSWERS_TURN_BYTES = 256 * 1024, /* made in a turn, of those that wait; and the piece or the
                                        answer that meets it */
};

/* Answers the connection's request. Returns true when that is done: go on with http_next if the
 * connection is open still. False: it goes on by itself, through TRANSPORT_ANSWER. Either way
 * nothing of `answer` is looked at afterwards. */
bool answering_begin(struct shard *shard, struct conn *conn, const struct json_answer *answer);

/* A turn's share of those that wait: struct server's answers_turn. */
void answering_turn(struct shard *shard);
