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
 * What was published together is heard together: behind the line the byte 2, and each of them from
 * '1' on, behind its length. The line's offset is that of the last.
 *
 *   0123456789abcdef 44 1700000000000\n 2 │ 4 bytes, item │ …
 *                    offset of the last     ─┬       ─┬──
 *                                            │        from '1' on
 *                                            length, big-endian
 *
 * What is large and not kept is heard in two parts, one directly behind the other, so that the
 * engine's script needs not look at the second: the line with the byte 3, and what would have been
 * in its place, from '1' or '2' on.
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
    ENCODING_ITEM_HEAD = 4,
    ENCODING_SEVERAL = '2', /* behind the line */
    ENCODING_APART = '3',   /* likewise: the rest is the next that is heard */
};

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

/* What was heard: one message, or several. */
struct encoded_run {
    struct encoded line; /* epoch, time, and the offset of the last */
    struct span items;
    uint64_t left; /* of them */
    bool single;
};

/* Reads the line. Returns 0, or -EINVAL: it is none, or the lengths behind it do not fit. */
int encoding_run_read(struct encoded_run *ret, struct span bytes);
/* Likewise a line with nothing but ENCODING_APART behind it, and what comes behind such a one. */
int encoding_line_read(struct encoded *ret, struct span bytes);
int encoding_rest_read(struct encoded_run *ret, const struct encoded *line, struct span bytes);
/* Takes the next message off. Returns 1, 0: there is none, or -EINVAL: it is none. */
int encoding_run_next(struct encoded_run *run, struct encoded *ret, size_t payload_max);

void encoding_item_write(char ret[ENCODING_ITEM_HEAD], size_t len);
/* Takes the next item off. Returns 1, 0: there is none, or -EINVAL. */
int encoding_item_next(struct span *items, struct span *ret);

/* A message of what was read, with its place. Returns NULL when memory is out. */
struct message *encoding_message(const struct encoded *read, struct span name, uint64_t hash);

/* 1 to 16 hex digits, not 0; and a decimal below 2^53. Return 0 or -EINVAL. */
int encoding_epoch(uint64_t *ret, struct span digits);
int encoding_number(uint64_t *ret, struct span digits);
