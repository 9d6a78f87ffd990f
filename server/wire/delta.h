/* delta: what changed from one text to the next, as fossil deltas.
 *
 *   5A\n            length of the target
 *   40@0,           copy 4 × 64 bytes of the base from its beginning
 *   3:abc           three bytes that follow here
 *   2Xb~zQ;         checksum of the target
 *
 * Numbers are of base 64: 0-9 A-Z _ a-z ~.
 *
 * Threads  one for each maker; delta_apply any.
 * Memory   A maker is 64 KiB and four bytes for each eight of the largest base, made at once.
 *          Between two deltas nothing is remembered.
 * Bounds   Of base and target, `bytes_max`. For each place of the target DELTA_CHAIN places of the
 *          base are looked at, and what they share is passed over: time is linear in both.
 * Errors   0 of delta_make: there is none that is shorter. -EPROTO and -EFBIG of delta_apply.
 * Source   fossil-scm.org, doc/trunk/www/delta_format.wiki. Debian has no library for it. */
#pragma once

#include <stddef.h>

#include "wire/span.h"

enum {
    DELTA_CHAIN = 8,
    DELTA_BYTES_MAX = 1 << 28,
};

struct delta_maker;

/* bytes_max: at most DELTA_BYTES_MAX. NULL when memory is out. */
struct delta_maker *delta_maker_create(size_t bytes_max);
void delta_maker_free(struct delta_maker *maker);

/* Writes into `area`, which has target.len bytes. Returns the length, less than the target's; or 0
 * where it would be no less, or one of both is longer than bytes_max. Of two texts of UTF-8 the
 * delta is UTF-8. */
size_t delta_make(struct delta_maker *maker, char *area, struct span base, struct span target);

/* Writes what becomes of the base into `area`. Returns the length; -EPROTO: it is no delta, or not
 * of this base; -EFBIG: it would be more than `room`. */
int delta_apply(char *area, size_t room, struct span base, struct span delta);
