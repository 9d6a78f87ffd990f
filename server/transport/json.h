/* json: messages and poll answers as docs/PROTOCOL.md gives them.
 *
 *   {"channel":"c","offset":7,"data":"text"}                     a message
 *   {"channel":"c","offset":7,"data":"AAE=","base64":true}       one that is not UTF-8
 *   {"position":P,"messages":[…],"recovered":true}               an answer
 *   {"channel":"c","offset":7,"delta":"text"}                    what changed since the one before
 *
 * Before `data` a message may have its publisher's "event", behind it "end":true if it is the last
 * of its channel. An answer whose channel has nothing more to come has "ended":true.
 *
 * Threads  any.
 * Memory   the caller's; the sizes are exact. An answer can be written in pieces: json_answer_next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/message.h"
#include "wire/out.h"
#include "wire/position.h"

/* What an answer counts for a message, besides its name and payload. */
enum {
    JSON_MESSAGE_COUNTS = 64,
};

/* What a message counts in the bound of an answer. Not what it becomes as JSON, up to six times as
 * much: to find that out costs a look at each byte. */
uint64_t json_weight(const struct message *message);

/* How many of the messages one answer may have, by their weight; at least one if there is one. */
unsigned json_fit(struct message *const *messages, unsigned count, uint64_t weight_max);

/* A message with its position in it: an envelope. `delta`: what changed, in its place; empty: it
 * goes whole. */
size_t json_envelope_size(const struct message *message, struct span delta,
                          const struct position *positions, size_t count);
void json_envelope_write(struct out *out, const struct message *message, struct span delta,
                         const struct position *positions, size_t count);

/* The answer around a list of messages. */
struct json_answer {
    const struct position *positions;
    size_t position_count;
    struct message *const *messages;
    unsigned message_count;
    bool recovered;
    bool ended; /* of one channel: nothing comes behind it */
};
size_t json_answer_size(const struct json_answer *answer);

/* How far an answer has been written; begin with zeros. */
struct json_cursor {
    unsigned message; /* the data of those before it are written */
    bool in_data;     /* and what stands before its own, too; behind the last message: all is */
    size_t used;      /* bytes: of the payload, or written of what stands before the data */
};

enum {
    JSON_ROOM_MIN = 8, /* with so much room it goes on */
};

/* Writes what comes next of the answer, as far as it fits into `room` bytes; with room for
 * json_answer_size all of it. Returns the bytes written. */
size_t json_answer_next(const struct json_answer *answer, struct json_cursor *cursor, char *buf,
                        size_t room);
bool json_answer_ended(const struct json_answer *answer, const struct json_cursor *cursor);
