/* encoding: a message as the engine keeps it and hands it on.
 *
 *   0123456789abcdef 42 1700000000000\n 1 f e event payload
 *   ─┬────────────── ─┬ ─┬───────────── ─┬ ─┬ ─┬ ─┬────
 *    epoch            │  when it was     │  │  │  e bytes
 *    (16 hex digits)  │  published, ms   │  │  length of the event type, a byte
 *                 offset                 │  flags, a byte: 1 UTF-8, 2 the last of its channel;
 *                                        │  4, 8, 16: a join, a leave, ephemeral
 *                                        version, the byte '1'
 *
 * Idea     The line is the engine's: it numbers, and its clock tells ages. What is behind it is the
 *          publisher's, which the engine does not look into. Whoever else writes to the engine may
 *          have written anything: what is read is taken for hostile.
 * Threads  any.
 * Memory   Spans point into what was given. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"
#include "wire/span.h"

enum {
    ENCODING_HEAD_BYTES = 3,
};

struct encoded {
    uint64_t epoch;
    uint64_t offset;
    int64_t time_ms;
    bool utf8;
    bool last;
    enum message_kind kind;
    struct span event;
    struct span payload;
};

/* The head of a body; the event type and the payload follow. */
void encoding_head(char ret[ENCODING_HEAD_BYTES], const struct message *message);

/* Reads line and body. Returns 0, or -EINVAL: it is none, or the payload is longer. */
int encoding_read(struct encoded *ret, struct span bytes, size_t payload_max);

/* 1 to 16 hex digits, not 0; and a decimal below 2^53. Return 0 or -EINVAL. */
int encoding_epoch(uint64_t *ret, struct span digits);
int encoding_number(uint64_t *ret, struct span digits);
