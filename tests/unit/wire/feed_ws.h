/* feed_ws: WebSocket frames, fed in pieces. See feed.h.
 *
 * The transcript of a message is t(...) or b(...), of one that is deflated zt(...) or zb(...),
 * however many frames and pieces it came in; of control frames ping(...), pong(...) and
 * close1000(...); of an error its name and the end.
 *
 * Threads  one.
 * Memory   the caller frees the transcript. */
#pragma once

#include "feed.h"
#include "wire/ws.h"

/* A message that is open: control frames may come between its pieces. */
struct feed_ws {
    struct transcript message;
    bool open;
};

static inline void feed_ws_data(struct feed_ws *feed, const struct ws_event *event,
                                struct transcript *ret)
{
    assert(event->first == !feed->open);
    assert(event->first || event->last || event->payload_len > 0);
    feed->open = !event->last;
    transcript_add(&feed->message, span_of(event->payload, event->payload_len));
    if (!event->last)
        return;
    transcript_add(ret, event->deflated ? SPAN("z") : SPAN(""));
    transcript_add(ret, event->opcode == WS_TEXT ? SPAN("t(") : SPAN("b("));
    transcript_add(ret, transcript_span(&feed->message));
    transcript_add(ret, SPAN(") "));
    transcript_free(&feed->message);
}

static inline void feed_ws_event(struct feed_ws *feed, const struct ws_event *event,
                                 struct transcript *ret)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        return;
    case WS_EVENT_DATA:
        feed_ws_data(feed, event, ret);
        return;
    case WS_EVENT_ERROR:
        transcript_add(ret, span_from(ws_error_name(event->error)));
        return;
    case WS_EVENT_PING:
        transcript_add(ret, SPAN("ping("));
        break;
    case WS_EVENT_PONG:
        transcript_add(ret, SPAN("pong("));
        break;
    case WS_EVENT_CLOSE:
        transcript_add(ret, SPAN("close"));
        transcript_number(ret, event->close_code);
        transcript_add(ret, SPAN("("));
        break;
    }
    transcript_add(ret, span_of(event->payload, event->payload_len));
    transcript_add(ret, SPAN(") "));
}

/* Feeds until the input, an error or a close frame ends it. Between pieces an idle state is
 * forgotten, as a server does. Returns whether the state was idle at the end. */
static inline bool feed_ws(const struct ws_rules *rules, struct span input, size_t first,
                           uint64_t step, struct transcript *ret)
{
    struct pieces pieces = pieces_begin(input, first, step);
    struct ws_inbound in = {0};
    struct feed_ws feed = {0};
    struct ws_event event = {.kind = WS_EVENT_NONE};
    while (event.kind == WS_EVENT_NONE && pieces_next(&pieces)) {
        struct ws_input piece = {pieces.piece, pieces.piece + pieces.len};
        do {
            ws_inbound_next(&in, rules, &piece, &event);
            feed_ws_event(&feed, &event, ret);
        } while (event.kind != WS_EVENT_NONE && event.kind != WS_EVENT_ERROR &&
                 event.kind != WS_EVENT_CLOSE);
        assert(event.kind != WS_EVENT_NONE || piece.at == piece.end);
        if (ws_inbound_idle(&in))
            in = (struct ws_inbound){0};
    }
    pieces_end(&pieces);
    transcript_free(&feed.message);
    transcript_add(ret, SPAN("."));
    return ws_inbound_idle(&in);
}
