/* position: where a client stands in its channels, as a token that it hands back to us.
 *
 *     <epoch, hex>.<offset, decimal> ~ <epoch>.<offset> ~ ...       5f3a.17~1c.0
 *
 * One place per channel, in the order of the channels asked for. All characters are unreserved in
 * URLs and safe in fields. The form is canonical: lower case, no leading zeros, no empty places; so
 * a token that parses is the token that would be written.
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

struct position {
    uint64_t epoch; /* never 0 */
    uint64_t offset;
};

/* The longest text of one place: 16 hex digits, a dot, 20 digits. */
#define POSITION_SIZE_MAX 37
/* The longest token for `count` places. */
#define POSITION_TOKEN_MAX(count) ((count) * (POSITION_SIZE_MAX + 1))

/* Returns the number of places, -EINVAL when the token is not canonical, or -E2BIG when it has more
 * than `max` places. */
int position_parse(struct position *ret, size_t max, struct span token);

/* The exact size of the token for `count` places, at least one; and its writer, which returns the
 * same number. */
size_t position_size(const struct position *positions, size_t count);
size_t position_write(char *buf, const struct position *positions, size_t count);
