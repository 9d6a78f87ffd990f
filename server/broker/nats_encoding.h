/* nats_encoding: what stands in NATS: subjects, and messages of one channel that were published
 * together.
 *
 *   PREFIX.s.CHANNEL   what the stream keeps       PREFIX.r.CHANNEL   what is heard
 *
 *   fedcba9876543210 0123456789abcdef 43\n │ 4 bytes, item │ 4 bytes, item │ …
 *   ─┬────────────── ─┬────────────── ─┬     ─┬       ─┬──
 *    run of NATS that │        offset  │      │        broker/encoding.h: line and body
 *    it was sent to   epoch   of the last     length, big-endian
 *
 * Idea     A channel's name may have any byte, a subject's token not: those other than letters,
 *          digits, '-' and '_' become %XX. What is read may be anybody's, and is taken for hostile.
 * Threads  any.
 * Memory   The caller's; spans point into what was given.
 * Bounds   NATS_SUBJECT_MAX. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    NATS_PREFIX_MAX = 65,
    NATS_NAME_MAX = 128, /* of a channel */
    NATS_SUBJECT_MAX = NATS_PREFIX_MAX + 4 + 3 * NATS_NAME_MAX,
    NATS_BATCH_HEAD = 56, /* at most */
};

enum nats_subject {
    NATS_STORED = 's',
    NATS_HEARD = 'r',
};

/* Returns its length; it is ended by a null byte. */
size_t nats_subject_write(char ret[NATS_SUBJECT_MAX], const char *prefix, enum nats_subject kind,
                          struct span name);
/* Returns the channel's length, or 0: it is no subject of that kind, or the name is none. */
size_t nats_subject_read(char ret[NATS_NAME_MAX], const char *prefix, enum nats_subject kind,
                         struct span subject);

struct nats_batch {
    uint64_t run, epoch, offset;
    struct span items;
};

/* Returns its length. */
size_t nats_batch_write(char ret[NATS_BATCH_HEAD], const struct nats_batch *batch);
/* Returns 0 or -EINVAL. */
int nats_batch_read(struct nats_batch *ret, struct span bytes);
