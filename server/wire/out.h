/* out: appends to a buffer of fixed size and remembers whether all of it fitted.
 *
 * Threads  one at a time.
 * Memory   the caller's buffer; what does not fit is dropped, and so is everything after it. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/digits.h"
#include "wire/span.h"

struct out {
    char *start;
    char *at;
    char *end;
    bool overflow;
};

static inline struct out out_begin(char *buf, size_t size)
{
    return (struct out){.start = buf, .at = buf, .end = buf + size};
}

static inline void out_span(struct out *out, struct span span)
{
    if (span.len > (size_t)(out->end - out->at))
        out->overflow = true;
    if (out->overflow || span.len == 0)
        return;
    memcpy(out->at, span.ptr, span.len);
    out->at += span.len;
}

#define out_text(out, literal) out_span((out), SPAN(literal))

static inline void out_decimal(struct out *out, uint64_t value)
{
    char digits[DIGITS_DECIMAL_MAX];
    out_span(out, span_of(digits, digits_decimal_write(digits, value)));
}

/* The bytes written, or -ENOBUFS. */
static inline int out_end(const struct out *out)
{
    assert(out->at - out->start <= INT_MAX);
    return out->overflow ? -ENOBUFS : (int)(out->at - out->start);
}
