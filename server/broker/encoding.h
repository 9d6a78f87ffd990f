/* encoding: a message as the engine keeps it and hands it on.
 *
 *   0123456789abcdef 42 1700000000000\n 1 f e mm event payload more
 *   ─┬────────────── ─┬ ─┬───────────── ─┬ ─┬ ─┬ ─┬ ─┬──        ─┬──
 *    epoch            │  when it was     │  │  │  │  e bytes     ,"tags":{…},"info":{…}} m bytes
 *    (16 hex digits)  │  published, ms   │  │  │  m, two bytes, where there is more: flag 32
 *                 offset                 │  │  length of the event type, a byte
 *                                        │  flags, a byte: 1 UTF-8, 2 the last of its channel;
 *                                        │  4, 8, 16, 128: a join, a leave, ephemeral, a removal of
 *                                        │  what is kept; 64: it may be told by what changed
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

struct encoded {
    uint64_t epoch;
    uint64_t offset;
    int64_t time_ms;
    bool utf8;
    bool last;
    bool delta;
    enum message_kind kind;
    struct span event;
    struct span payload;
    struct span more; /* members of JSON: tags and info, each an object */
};

/* How long a message's body is, and the body itself. */
size_t encoding_size(const struct message *message);
void encoding_write(char *ret, const struct message *message);

/* Reads line and body. Returns 0, or -EINVAL: it is none, or the payload is longer. */
int encoding_read(struct encoded *ret, struct span bytes, size_t payload_max);

/* A message of what was read, with its place. Returns NULL when memory is out. */
struct message *encoding_message(const struct encoded *read, struct span name, uint64_t hash);

/* 1 to 16 hex digits, not 0; and a decimal below 2^53. Return 0 or -EINVAL. */
int encoding_epoch(uint64_t *ret, struct span digits);
int encoding_number(uint64_t *ret, struct span digits);
