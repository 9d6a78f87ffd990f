/* payload: what every published message carries, so that each delivery says which message it is,
 * when it should have been sent, and whether all of its bytes are those that were published.
 *
 *     929bf739000004d2 0000018bcfe56800 cjjllkdn…
 *     check   number   intended, hex ns text, up to the size asked for
 *
 * All of it is text that neither JSON nor SSE escapes, so it is the same bytes on every transport.
 *
 * Idea     Every byte follows from the number and the intended time: the check from both, the text
 *          from the number and the place in it. So a subscriber compares what came with what must
 *          have been sent, and keeps nothing. Bytes of two messages that were mixed are found like
 *          bytes that were changed.
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    PAYLOAD_HEAD_SIZE = 34,
};

/* Writes exactly `size` bytes, at least PAYLOAD_HEAD_SIZE. The text is letters at random; or, where
 * it `repeats`, like a list of metrics: parts of 128 bytes, of which two in a hundred change from
 * each number to the next, and each is the same as the others in its first two thirds. */
void payload_write(char *buf, size_t size, uint32_t number, uint64_t intended_ns, bool repeats);

/* Whether `text` begins with what looks like a head, right or not. */
bool payload_begins(struct span text);

/* A payload that comes in pieces, of which all are looked at. All zero at its start. */
struct payload {
    uint64_t length; /* so far */
    uint64_t intended_ns;
    uint32_t number; /* 0: the head is not whole yet, or is not what was written */
    bool changed;    /* a byte behind the head is not what was written */
    bool repeats;    /* set by who begins: as payload_write had it */
    char head[PAYLOAD_HEAD_SIZE];
};

/* Takes the next piece. */
void payload_take(struct payload *payload, struct span piece);
