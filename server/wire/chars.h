/* chars: which bytes may stand where in HTTP, as one table of bits. Internal to wire/.
 *
 * Threads  any.
 * Memory   one constant table of 256 bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    CHAR_TOKEN = 1,  /* tchar: methods, field names, list members (RFC 9110 5.6.2) */
    CHAR_VALUE = 2,  /* field values: visible, obs-text, space and tab (RFC 9110 5.5) */
    CHAR_TARGET = 4, /* request targets: visible ASCII but " # < > */
    CHAR_HOST = 8,   /* host and port (RFC 3986 3.2), without userinfo and without the comma */
    CHAR_DIGIT = 16,
};

extern const uint8_t chars_table[256];

static inline bool chars_is(char c, unsigned classes)
{
    return (chars_table[(uint8_t)c] & classes) != 0;
}

/* Whether the span is not empty and all of it is of the class. */
static inline bool chars_all(struct span span, unsigned classes)
{
    for (size_t i = 0; i < span.len; i++)
        if (!chars_is(span.ptr[i], classes))
            return false;
    return span.len > 0;
}

/* The value of a hex digit, or -1. */
static inline int chars_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
