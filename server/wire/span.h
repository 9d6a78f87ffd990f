/* span: a run of bytes that somebody else owns. Not terminated, may hold any byte, may be empty.
 *
 * Threads  any.
 * Memory   a span never owns; whoever filled it says how long it stays valid. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

/* A span over a string literal; SPAN_INIT is for tables. */
#define SPAN_INIT(literal)                                                                         \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define SPAN(literal) ((struct span)SPAN_INIT(literal))

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){ptr, len};
}

static inline struct span span_from(const char *string)
{
    return (struct span){string, strlen(string)};
}

/* The bytes of `span` from `count` on; `count` is at most its length. An empty one may point to
 * nothing, from which C counts no bytes, not even none. */
static inline struct span span_skip(struct span span, size_t count)
{
    return count == 0 ? span : (struct span){span.ptr + count, span.len - count};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char span_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII letters compare equal in either case; no locale is involved. */
static inline bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (span_lower(a.ptr[i]) != span_lower(b.ptr[i]))
            return false;
    return true;
}
