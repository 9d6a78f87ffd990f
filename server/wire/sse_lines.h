/* sse_lines: where a line ends in an event stream, for its reader and its writer. Internal to
 * wire/.
 *
 * Threads  any.
 * Memory   none. */
#pragma once

#include "wire/span.h"
#include "wire/vector.h"

static inline bool sse_is_break(char c)
{
    return c == '\n' || c == '\r';
}

/* How many bytes come before the first line break, or all. Not two memchr: text with one kind of
 * break only would be searched to its end for the other kind, once per line. */
static inline size_t sse_line_len(struct span text)
{
    size_t len = 0;
    for (vector_bytes_128 block; text.len - len >= sizeof block; len += sizeof block) {
        memcpy(&block, text.ptr + len, sizeof block);
        if (vector_any_high_128((vector_128)((block == '\n') | (block == '\r'))))
            break;
    }
    while (len < text.len && !sse_is_break(text.ptr[len]))
        len++;
    return len;
}

/* The line break that the text begins with: LF, CR or CRLF. */
static inline size_t sse_break_len(struct span text)
{
    return text.len >= 2 && text.ptr[0] == '\r' && text.ptr[1] == '\n' ? 2 : 1;
}
