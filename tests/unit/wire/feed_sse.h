/* feed_sse: an event stream, fed in pieces. See feed.h.
 *
 * Threads  one.
 * Memory   the caller frees the transcript. */
#pragma once

#include "feed.h"
#include "wire/sse.h"

static inline void feed_sse_part(struct transcript *ret, struct span label, struct span value)
{
    if (!value.ptr)
        return;
    transcript_add(ret, label);
    transcript_add(ret, value);
    transcript_add(ret, SPAN("]"));
}

static inline void feed_sse_event(const struct sse_event *event, struct transcript *ret)
{
    feed_sse_part(ret, SPAN("id["), event->id);
    feed_sse_part(ret, SPAN("event["), event->event);
    feed_sse_part(ret, SPAN("data["), event->data);
    if (event->has_retry) {
        transcript_add(ret, SPAN("retry"));
        transcript_number(ret, event->retry_ms);
    }
    transcript_add(ret, SPAN("; "));
}

/* An idle parser's buffer is scribbled over between pieces, as if other streams had used it. */
static inline enum sse_result feed_sse(struct span input, size_t first, uint64_t step, size_t size,
                                       struct transcript *ret)
{
    struct pieces pieces = pieces_begin(input, first, step);
    struct sse_parser parser = {0};
    struct sse_event event;
    enum sse_result result = SSE_MORE;
    char *buf = malloc(size > 0 ? size : 1);
    assert(buf);
    while (result != SSE_TOO_LONG && pieces_next(&pieces)) {
        struct span piece = span_of(pieces.piece, pieces.len);
        if (sse_parser_idle(&parser))
            memset(buf, 'x', size);
        while ((result = sse_parser_next(&parser, &piece, buf, size, &event)) == SSE_EVENT)
            feed_sse_event(&event, ret);
        assert(result == SSE_TOO_LONG || piece.len == 0);
    }
    pieces_end(&pieces);
    free(buf);
    transcript_add(ret, result == SSE_TOO_LONG ? SPAN("too long") : SPAN("."));
    return result;
}
