/* encoder: a batch of messages as frames, made once per shard, turn and encoding, and shared by all
 * subscribers.
 *
 * Threads  The shard's.
 * Memory   Frames are kept (by a reference on their block) until the next batch begins. */
#pragma once

#include <stdbool.h>

#include "conn/shard.h"
#include "core/block.h"
#include "core/message.h"
#include "hub/hub.h"
#include "wire/span.h"

struct conn;

/* Weight of the messages in one answer, over all its channels; one is given however large. */
static inline uint64_t answer_weight_max(const struct shard *shard)
{
    return (uint64_t)shard->settings->queue_bytes_max;
}

/* What the messages of a batch become. Envelopes and events are those of subscribers of this
 * channel alone. */
enum format {
    FORMAT_WS_RAW,      /* each payload a frame: text where it is UTF-8, else binary */
    FORMAT_WS_ENVELOPE, /* each message a text frame of JSON                         */
    FORMAT_WS_PUSH,     /* pushes of the Centrifuge protocol: transport/pushes.h */
    FORMAT_WS_BARE_PUSH,
    FORMAT_LINE_PUSH,
    FORMAT_LINE_BARE_PUSH,
    FORMAT_SSE_PUSH,
    FORMAT_SSE_BARE_PUSH,
    FORMAT_SSE_ENVELOPE, /* events whose data is that JSON */
    FORMAT_SSE,          /* events                                                    */
    FORMAT_ANSWER,       /* JSON, the answer to a long poll; recovered: false         */
    FORMAT_ANSWER_RECOVERED,
    FORMAT_COUNT,
};

/* What HTTP puts around it. */
enum framing {
    FRAMING_NONE,
    FRAMING_CHUNK,  /* one chunk */
    FRAMING_HTTP_1, /* the head of a whole answer in front */
    FRAMING_COUNT,
};

/* What is made of that where a client takes it compressed. */
enum coding {
    CODING_PLAIN,
    CODING_DEFLATED, /* WebSocket: each message if that is smaller; events: a piece of gzip */
    CODING_STORED,   /* events: a piece of gzip that costs no work, for one reader alone    */
    CODING_COUNT,
};

/* How messages are told to who asked for deltas: envelopes and pushes. */
enum telling {
    TELL_WHOLE,
    TELL_STRINGS, /* pushes: whole, in strings, to who has no base */
    TELL_CHANGES, /* by what changed, where there is a delta       */
    TELL_COUNT,
};

struct encoding {
    enum format format;
    enum framing framing;
    enum coding coding;
    enum telling telling;
};

/* A batch begins, without a frame. */
void encoder_begin(struct shard *shard, const struct hub_batch *batch);

/* Forgets the batch's frames: what waits for a slow reader is held by its queue alone, and what
 * nobody waits for is free now, not when the next message comes. */
void encoder_release(struct shard *shard);

/* Frees what the encoder keeps. */
void encoder_done(struct shard *shard);

/* The batch's frame in this encoding. `conn` is one of its subscribers: an answer needs its flags.
 */
struct frame encoder_frame(struct shard *shard, struct conn *conn, const struct hub_batch *batch,
                           struct encoding encoding);

/* The same for an answer to a long poll, whose head is in front or on its way. */
struct frame encoder_answer(struct shard *shard, struct conn *conn, const struct hub_batch *batch,
                            bool recovered);

enum {
    ANSWER_SHARED_WEIGHT = 256 * 1024, /* of a batch: its answer is one frame for all up to here */
};

/* Whether the batch is an answer that is made at once, for all; else each is given it in pieces. */
bool encoder_shares_answer(const struct shard *shard, const struct hub_batch *batch);

/* Encodings of any messages, not kept: for replays, and for subscribers of several channels. */
struct position;
struct frame encode_ws_raw(struct shard *shard, struct message *const *messages, unsigned count);

enum {
    ENCODER_END_MAX = CHANNEL_NAME_MAX + 64,
};

/* The event that says that nothing more comes of a channel; returns its length. */
size_t encoder_end_event(char buf[ENCODER_END_MAX], struct span name);

/* Where a subscriber stands in all its channels, while it is given messages of one of them:
 * `positions[at]` follows the message that is being written. No place at all (count 0): the
 * position is not known yet, and is left out. */
struct standing {
    struct position *positions;
    unsigned count;
    unsigned at;
    const struct span *deltas; /* of the messages; NULL: they go whole */
};
struct frame encode_ws_envelopes(struct shard *shard, struct message *const *messages,
                                 unsigned count, const struct standing *standing);
/* Events of a FORMAT_SSE_…; behind the last of a channel one that says so. */
struct frame encode_sse(struct shard *shard, struct message *const *messages, unsigned count,
                        const struct standing *standing, struct encoding encoding);

/* A complete HTTP answer for this connection: of what is small, or shared. Else see
 * transport/answering.h. */
struct json_answer;
struct frame encode_answer(struct shard *shard, struct conn *conn,
                           const struct json_answer *answer);
