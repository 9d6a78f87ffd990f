/* json: messages and poll answers as docs/PROTOCOL.md gives them.
 *
 *   {"channel":"c","offset":7,"data":"text"}                     a message
 *   {"channel":"c","offset":7,"data":"AAE=","base64":true}       one that is not UTF-8
 *   {"position":P,"messages":[…],"recovered":true}               an answer
 *
 * Threads  any.
 * Memory   the caller's; the sizes are exact. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/message.h"
#include "wire/out.h"
#include "wire/position.h"

/* How many of the messages one answer may have, in bytes of JSON; at least one if there is one. */
unsigned json_fit(struct message *const *messages, unsigned count, uint64_t bytes_max);

size_t json_message_size(const struct message *message);
void json_message_write(struct out *out, const struct message *message);

/* A message with its position in it: an envelope on a WebSocket. */
size_t json_envelope_size(const struct message *message, const struct position *positions,
                          size_t count);
void json_envelope_write(struct out *out, const struct message *message,
                         const struct position *positions, size_t count);

/* The answer around a list of messages. */
struct json_answer {
    const struct position *positions;
    size_t position_count;
    struct message *const *messages;
    unsigned message_count;
    bool recovered;
};
size_t json_answer_size(const struct json_answer *answer);
void json_answer_write(struct out *out, const struct json_answer *answer);
