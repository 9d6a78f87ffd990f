/* encoder: a batch of messages as frames, made once per shard, turn and encoding, and shared by all
 * subscribers.
 *
 * Threads  The shard's.
 * Memory   Frames are kept (by a reference on their block) until the next batch begins. */
#pragma once

#include <stdbool.h>

#include "conn/shard.h"
#include "core/block.h"
#include "hub/hub.h"

struct conn;

/* Weight of the messages in one answer, over all its channels; one is given however large. */
static inline uint64_t answer_weight_max(const struct shard *shard)
{
    return (uint64_t)shard->settings->queue_bytes_max;
}

enum encoding {
    ENCODING_WS_RAW, /* each payload a frame: text where it is UTF-8, else binary                 */
    ENCODING_WS_ENVELOPE, /* each message a text frame of JSON, for subscribers of this channel
                             alone  */
    ENCODING_SSE_CHUNKED, /* events, in one chunk */
    ENCODING_SSE_PLAIN,   /* events as they are, for HTTP/1.0   */
    ENCODING_ANSWER, /* a whole HTTP answer to a long poll, recovered: false                      */
    ENCODING_ANSWER_RECOVERED,
    ENCODING_COUNT,
};

/* Forgets the frames of the batch before. */
void encoder_begin(struct shard *shard, const struct hub_batch *batch);

/* Frees what the encoder keeps. */
void encoder_done(struct shard *shard);

/* The batch's frame in this encoding. `conn` is one of its subscribers: an answer needs its flags.
 */
struct frame encoder_frame(struct shard *shard, const struct conn *conn,
                           const struct hub_batch *batch, enum encoding encoding);

enum {
    ANSWER_SHARED_WEIGHT = 256 * 1024, /* of a batch: its answer is one frame for all up to here */
};

/* Whether the batch is an answer that is made at once, for all; else each is given it in pieces. */
bool encoder_shares_answer(const struct shard *shard, const struct hub_batch *batch);

/* Encodings of any messages, not kept: for replays, and for subscribers of several channels. */
struct position;
struct frame encode_ws_raw(struct shard *shard, struct message *const *messages, unsigned count);

/* Where a subscriber stands in all its channels, while it is given messages of one of them:
 * `positions[at]` follows the message that is being written. No place at all (count 0): the
 * position is not known yet, and is left out. */
struct standing {
    struct position *positions;
    unsigned count;
    unsigned at;
};
struct frame encode_ws_envelopes(struct shard *shard, struct message *const *messages,
                                 unsigned count, const struct standing *standing);
struct frame encode_sse(struct shard *shard, struct message *const *messages, unsigned count,
                        const struct standing *standing, bool chunked);

/* A complete HTTP answer for this connection: of what is small, or shared. Else see
 * transport/answering.h. */
struct json_answer;
struct frame encode_answer(struct shard *shard, const struct conn *conn,
                           const struct json_answer *answer);
