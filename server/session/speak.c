/* speak: what a session says, in what carries it: a WebSocket, or an answer of HTTP that does not
 * end: lines, or events. */
#include "session/session_internal.h"

#include <assert.h>

#include "transport/websocket.h"
#include "wire/json_out.h"

#define EVENT_FRONT "data: "
#define EVENT_BACK  "\n\n"

enum {
    FRONT_MAX = HTTP_CHUNK_HEAD_MAX + sizeof EVENT_FRONT,
    BACK_MAX = sizeof EVENT_BACK + sizeof HTTP_CHUNK_TAIL,
    DISCONNECT_MAX = WS_REASON_MAX * JSON_ESCAPE_MAX + 64,
};
static_assert((int)FRONT_MAX >= (int)WS_FRAME_HEAD_MAX, "room for either");

struct encoding session_encoding(const struct conn *conn)
{
    bool bare = conn->role & ROLE_ONE_WAY;
    enum framing framing = http_is_chunked(conn) ? FRAMING_CHUNK : FRAMING_NONE;
    if (conn->transport == TRANSPORT_SESSION_LINES || conn->transport == TRANSPORT_SESSION_TUNNEL)
        return (struct encoding){.format = bare ? FORMAT_LINE_BARE_PUSH : FORMAT_LINE_PUSH,
                                 .framing = framing};
    if (conn->transport == TRANSPORT_SESSION_EVENTS)
        return (struct encoding){.format = bare ? FORMAT_SSE_BARE_PUSH : FORMAT_SSE_PUSH,
                                 .framing = framing};
    /* Nothing in a push depends on who gets it, so one that is deflated serves all. */
    return (struct encoding){.format = bare ? FORMAT_WS_BARE_PUSH : FORMAT_WS_PUSH,
                             .coding = conn->role & ROLE_DEFLATE ? CODING_DEFLATED : CODING_PLAIN};
}

char *session_text_begin(struct shard *shard, struct conn *conn, size_t room)
{
    char *area = blocks_reserve(&shard->blocks, FRONT_MAX + room + BACK_MAX);
    if (!area && conn->transport == TRANSPORT_SESSION)
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
    else if (!area)
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
    return area ? area + FRONT_MAX : NULL;
}

/* Writes what stands behind the text, and into `front` what stands before it. Returns their
 * lengths. */
static size_t dress(const struct conn *conn, char *text, size_t len, struct out *front)
{
    struct out back = out_begin(text + len, BACK_MAX);
    bool events = conn->transport == TRANSPORT_SESSION_EVENTS;
    if (conn->transport == TRANSPORT_SESSION) {
        const struct ws_frame_head head = {.length = len, .opcode = WS_TEXT, .fin = true};
        front->at += ws_frame_head_write(front->at, &head);
        return 0;
    }
    out_span(&back, events ? SPAN(EVENT_BACK) : SPAN("\n"));
    if (http_is_chunked(conn)) {
        size_t size = (events ? strlen(EVENT_FRONT) : 0) + len + (size_t)(back.at - back.start);
        front->at += http_chunk_head_write(front->at, size);
        out_text(&back, HTTP_CHUNK_TAIL);
    }
    if (events)
        out_text(front, EVENT_FRONT);
    return (size_t)(back.at - back.start);
}

/* The front's length is known behind the text, which moves up to it. */
void session_text_send(struct shard *shard, struct conn *conn, char *text, size_t len,
                       enum send_kind kind, unsigned messages)
{
    char bytes[FRONT_MAX], *area = text - FRONT_MAX;
    struct out front = out_begin(bytes, sizeof bytes);
    size_t behind = dress(conn, text, len, &front);
    size_t before = (size_t)(front.at - front.start);
    assert(!front.overflow);
    memcpy(area, bytes, before);
    memmove(area + before, text, len + behind);
    struct frame frame = blocks_commit(&shard->blocks, before + len + behind);
    if (conn->role & ROLE_CONNECTING && kind == SEND_CONTROL)
        connecting_hold(shard, conn, frame, messages);
    else
        conn_send(shard, conn, frame, kind, messages);
}

void session_send(struct shard *shard, struct conn *conn, struct span text, enum send_kind kind)
{
    char *area = session_text_begin(shard, conn, text.len);
    if (!area)
        return;
    memcpy(area, text.ptr, text.len);
    session_text_send(shard, conn, area, text.len, kind, 0);
}

void session_send_text(struct shard *shard, struct conn *conn, struct span text)
{
    session_send(shard, conn, text, SEND_ANSWER);
}

void session_push(struct shard *shard, struct conn *conn, struct span push)
{
    bool bare = conn->role & ROLE_ONE_WAY;
    char *area = session_text_begin(shard, conn, push.len + sizeof "{\"push\":}");
    if (!area)
        return;
    struct out out = out_begin(area, push.len + sizeof "{\"push\":}");
    out_span(&out, bare ? (struct span){0} : SPAN("{\"push\":"));
    out_span(&out, push);
    out_span(&out, bare ? (struct span){0} : SPAN("}"));
    session_text_send(shard, conn, area, (size_t)out_end(&out), SEND_CONTROL, 0);
}

/* ---- the end ---- */

static void push_disconnect(struct shard *shard, struct conn *conn, unsigned code,
                            struct span words)
{
    char text[DISCONNECT_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"disconnect\":{\"code\":");
    out_decimal(&out, code);
    out_text(&out, ",\"reason\":");
    assert(words.len <= WS_REASON_MAX);
    out.at += json_string_write(out.at, words);
    out_text(&out, "}}");
    session_push(shard, conn, span_of(text, (size_t)out_end(&out)));
}

/* Code 0: there are no words for it. */
static void say_why(struct shard *shard, struct conn *conn, unsigned code, struct span words)
{
    if (conn->role & ROLE_CONNECTING)
        connecting_end(shard, conn); /* what it keeps would come behind a result */
    bool socket = conn->transport == TRANSPORT_SESSION;
    if (code != 0 && (!socket || conn->role & ROLE_ONE_WAY))
        push_disconnect(shard, conn, code, words);
    if (!socket && conn->state == CONN_OPEN && http_is_chunked(conn))
        conn_send_bytes(shard, conn, SPAN(HTTP_CHUNK_LAST));
}

void session_say_goodbye(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    struct span words = {0};
    unsigned code = close_reason_disconnect(reason, &words);
    say_why(shard, conn, code, words);
}

void session_fail(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    if (conn->state != CONN_OPEN)
        return;
    session_say_goodbye(shard, conn, reason);
    if (conn->transport == TRANSPORT_SESSION)
        websocket_fail(shard, conn, reason);
    else
        conn_end(shard, conn, END_LINGER, reason);
}

void session_fail_as(struct shard *shard, struct conn *conn, enum close_reason reason,
                     unsigned code, struct span words)
{
    if (conn->state != CONN_OPEN)
        return;
    say_why(shard, conn, code, words);
    if (conn->transport == TRANSPORT_SESSION)
        websocket_fail_as(shard, conn, reason, code, words);
    else
        conn_end(shard, conn, END_LINGER, reason);
}
