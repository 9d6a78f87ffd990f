/* sse: server-sent events, both directions (WHATWG HTML, section 9.2).
 *
 *     id: 5f3a.17 LF
 *     event: recovered LF
 *     data: first line LF
 *     data: second line LF
 *     LF
 *
 * Threads  any; nothing is shared.
 * Memory   nothing is allocated. The parser copies into the caller's buffer only what the input
 *          leaves half received, and data of several lines, which it joins.
 * Bounds   the caller's buffer holds an event's lines, and with data of several lines also its id
 *          and name once more. The verdict does not depend on how the bytes arrive. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

#define SSE_CONTENT_TYPE "text/event-stream"
/* A comment, so that something crosses the wire: clients ignore it. */
#define SSE_KEEP_ALIVE ":\n\n"

/* One event. A span whose ptr is NULL is absent, which differs from empty. */
struct sse_event {
    struct span id;    /* no CR, LF or NUL in it */
    struct span event; /* no CR or LF in it */
    struct span data;  /* lines end at LF, CR or CRLF, read as LF. Absent: nothing is fired */
    bool has_retry;
    uint32_t retry_ms;
};

/* The exact size of the event on the wire, the empty line included; and its writer, which returns
 * the same number. Data must be UTF-8 to arrive as it was sent. */
size_t sse_event_size(const struct sse_event *event);
size_t sse_event_write(char *buf, const struct sse_event *event);

/* A comment line and an empty line; no CR or LF in it. */
size_t sse_comment_size(struct span comment);
size_t sse_comment_write(char *buf, struct span comment);

/* A stream being read. All zero is the start of a stream. */
struct sse_parser {
    uint32_t held; /* bytes in the buffer: the lines of a half received event */
    uint8_t flags; /* see sse_parser.c */
};

enum sse_result {
    SSE_MORE,     /* the input is used up */
    SSE_EVENT,    /* `ret` holds one; call again */
    SSE_TOO_LONG, /* the buffer cannot hold the event: the stream is of no further use */
};

/* Consumes from the front of `input` up to and including one event. Its spans lie in the input or
 * in the buffer and stay valid until the next call. Blocks without data are handed out too if they
 * carry an id or retry (data.ptr is NULL). Ids holding NUL and retries that are not digits are
 * ignored, as the standard wants. The id of an event is what its own lines say, not the one before
 * it. */
enum sse_result sse_parser_next(struct sse_parser *parser, struct span *input, char *buf,
                                size_t size, struct sse_event *ret);

/* Whether the buffer holds nothing and may be given back, or shared with other streams. Otherwise
 * the next call must bring the same buffer. */
bool sse_parser_idle(const struct sse_parser *parser);
