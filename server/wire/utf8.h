/* utf8: is this UTF-8? Asked piece by piece (RFC 3629).
 *
 * Refused are surrogates, overlong forms and whatever lies above U+10FFFF.
 *
 * Threads  any.
 * Memory   none.
 * Cost     a vector register at a time in ASCII, a byte at a time elsewhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

/* Between two characters it is all zero. */
struct utf8_state {
    uint8_t need; /* continuation bytes still missing */
    uint8_t low;  /* the range of the next one */
    uint8_t high;
};

/* Feeds the next piece. Returns false as soon as no continuation could make the text valid; the
 * state is then of no further use. */
bool utf8_feed(struct utf8_state *state, const char *buf, size_t len);

/* Whether the text may end here. */
static inline bool utf8_complete(const struct utf8_state *state)
{
    return state->need == 0;
}

/* Whether this is a complete valid text. */
bool utf8_valid(struct span text);
