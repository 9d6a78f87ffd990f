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
 *          leaves half received; an event that lies whole in the input with one data line is not copied.
 * Bounds   an event's text and the line under way, together, by the caller's buffer. */
#ifndef RINGSIDE_WIRE_SSE_H
#define RINGSIDE_WIRE_SSE_H

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
    struct span data;  /* lines end at LF, CR or CRLF; the reader sees LF. Absent: no event is fired */
    bool has_retry;
    uint32_t retry_ms;
};

/* The exact size of the event on the wire, the empty line included; and its writer, which returns the
 * same number. Data must be UTF-8 to arrive as it was sent. */
size_t sse_event_size(const struct sse_event *event);
size_t sse_event_write(char *buf, const struct sse_event *event);

/* A comment line and an empty line; no CR or LF in it. */
size_t sse_comment_size(struct span comment);
size_t sse_comment_write(char *buf, struct span comment);

/* A stream being read. All zero is the start of a stream. */
struct sse_parser {
    struct sse_event event; /* so far; its spans lie in the input or in the buffer */
    uint32_t line_len;      /* half a line, in the buffer behind `text_len` bytes of the event */
    uint32_t text_len;
    uint8_t flags;          /* see sse_parser.c */
};

enum sse_result {
    SSE_MORE,      /* the input is used up */
    SSE_EVENT,     /* `ret` holds one; call again */
    SSE_TOO_LONG,  /* the buffer cannot hold the event: the stream is of no further use */
};

/* Consumes from the front of `input` up to and including one event. Its spans stay valid until the
 * next call. Blocks without data are handed out too if they carry an id or retry (data.ptr is NULL).
 * While sse_parser_idle says no, every call must bring the same buffer. Ids holding NUL and retries
 * that are not digits are ignored, as the standard wants. */
enum sse_result sse_parser_next(struct sse_parser *parser, struct span *input, char *buf, size_t size,
                                struct sse_event *ret);

/* Whether the buffer holds nothing, and may be given back or shared with other streams. */
bool sse_parser_idle(const struct sse_parser *parser);

#endif
