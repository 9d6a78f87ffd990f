/* client_h2: event streams, polls and WebSockets as streams of HTTP/2 connections (RFC 9113,
 * RFC 8441), by nghttp2: what it hears of a server is judged by somebody else's codec.
 *
 *   opened ─► preface, SETTINGS ─┬─► HEADERS, for each subscriber a stream
 *                                └─ SETTINGS of the server ─► CONNECT, likewise: WebSockets
 *   bytes ─► nghttp2 ─► head of an answer ─► DATA … ─► end of the stream
 *                       answered()           body()     ended()
 *
 * Memory   A session of nghttp2 for each link, from its opening to its end, and a stream of it for
 *          each subscriber.
 * Bounds   A stream's window is STREAM_WINDOW, that of a connection CONNECTION_WINDOW: as browsers
 *          have it, so large that they do not slow down a server. One pong of each stream waits for
 *          its window. */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "load/engine.h"
#include "load/h2_windows.h"

enum {
    STREAM_WINDOW = 1 << 20,
    CONNECTION_WINDOW = 16 << 20,
    FIELDS_MAX = 32, /* of a request's head */
    RETRY_AFTER_MAX = 16,
    /* subscriber.kept, while the rest of a refusal comes; above what an event stream keeps. */
    KEPT_SHED = 0x20,
    KEPT_STATUS = 0x40,
};

/* A pong, until its DATA frame is written. */
struct pong {
    struct pong *next;
    int32_t stream;
    uint32_t len, sent;
    char bytes[];
};

struct session {
    nghttp2_session *nghttp2;
    struct load *load;
    const struct speech *speech;
    struct pong *pongs;
    uint32_t link;
    int32_t stream; /* that is being read */
    int status;     /* of the head that is being read; no other comes in between */
    uint8_t retry_len;
    char retry_after[RETRY_AFTER_MAX];
    bool goodbye; /* the server says that it will hear no more */
    bool reading; /* nghttp2 is, and sends when it has */
    bool writing; /* likewise, while it says something */
    bool asked;   /* its subscribers have */
    bool over;    /* its link has ended while nghttp2 was reading */
};

/* How a row's streams go on behind the head of their answer. */
struct speech {
    const struct protocol *protocol;
    bool connects; /* by RFC 8441, and so waits for the server's SETTINGS */
    void (*answered)(struct load *load, struct subscriber *subscriber);
    void (*body)(struct load *load, struct subscriber *subscriber, char *bytes, size_t len);
    /* The stream has ended as it should. */
    void (*ended)(struct load *load, struct subscriber *subscriber);
};

static struct session *session_of(struct load *load, const struct link *link)
{
    return load->states[link_index(load, link)];
}

/* ---- sending ---- */

static void session_free(struct session *session);

/* Writes what nghttp2 has to say. While it reads, it may have more to say in the end. Saying it may
 * end streams, which a server that has said goodbye does not take; and so the link. */
static void flush(struct load *load, struct link *link, struct session *session)
{
    const uint8_t *bytes;
    if (session->reading)
        return;
    while (link_open(link)) {
        session->reading = session->writing = true;
        ssize_t len = nghttp2_session_mem_send(session->nghttp2, &bytes);
        session->reading = session->writing = false;
        if (session->over) {
            session_free(session);
            return;
        }
        if (len == 0)
            return;
        if (len < 0) {
            link_fail(load, link, LOAD_FAIL_HTTP);
            return;
        }
        memcpy(outbox_reserve(load, link, (size_t)len), bytes, (size_t)len);
        outbox_commit(load, link, (size_t)len);
    }
}

static nghttp2_nv field_of(struct span name, struct span value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)value.ptr,
        .valuelen = value.len,
    };
}

/* Adds fields as HTTP/1.1 has them. Their names are made lower case. Returns how many there are. */
static size_t fields_add(nghttp2_nv *fields, size_t count, char *text)
{
    char *end;
    for (; (end = strstr(text, "\r\n")); text = end + 2) {
        char *colon = memchr(text, ':', (size_t)(end - text));
        assert(colon && colon[1] == ' ' && count < FIELDS_MAX);
        for (char *at = text; at < colon; at++)
            if (*at >= 'A' && *at <= 'Z')
                *at = (char)(*at - 'A' + 'a');
        fields[count++] = field_of(span_of(text, (size_t)(colon - text)),
                                   span_of(colon + 2, (size_t)(end - colon - 2)));
    }
    return count;
}

static size_t head_write(struct load *load, const struct subscriber *subscriber, bool connects,
                         struct span target, char *texts, nghttp2_nv fields[FIELDS_MAX])
{
    const struct group *group = group_of(load, subscriber);
    size_t count = 0;
    fields[count++] = field_of(SPAN(":method"), connects ? SPAN("CONNECT") : SPAN("GET"));
    if (connects)
        fields[count++] = field_of(SPAN(":protocol"), SPAN("websocket"));
    fields[count++] = field_of(SPAN(":scheme"), group->config.tls ? SPAN("https") : SPAN("http"));
    fields[count++] = field_of(SPAN(":authority"), span_from(group->host));
    fields[count++] = field_of(SPAN(":path"), target);
    if (connects)
        fields[count++] = field_of(SPAN("sec-websocket-version"), SPAN("13"));
    memcpy(texts, group->fields, sizeof group->fields);
    return fields_add(fields, count, texts);
}

static void ask(struct load *load, struct subscriber *subscriber)
{
    struct link *link = link_of(load, subscriber);
    struct session *session = session_of(load, link);
    const bool connects = session->speech->connects;
    char target[LOAD_TARGET_MAX], texts[sizeof group_of(load, subscriber)->fields];
    nghttp2_nv fields[FIELDS_MAX];
    size_t count = head_write(load, subscriber, connects, poll_target(load, subscriber, target),
                              texts, fields);
    int32_t stream = nghttp2_submit_headers(session->nghttp2,
                                            connects ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                            -1, NULL, fields, count, subscriber);
    if (stream < 0) { /* no memory, or no numbers: a connection has 2^30 of them */
        link_fail(load, link, LOAD_FAIL_HTTP);
        return;
    }
    if (session->speech->protocol->is & PROTOCOL_ASKS)
        poll_asked(load, subscriber);
    flush(load, link, session);
}

/* ---- a pong ---- */

static void pong_take(struct session *session, const struct pong *pong)
{
    struct pong **at = &session->pongs;
    while (*at != pong)
        at = &(*at)->next;
    *at = pong->next;
}

static ssize_t pong_read(nghttp2_session *nghttp2, int32_t stream, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct pong *pong = source->ptr;
    uint32_t left = pong->len - pong->sent;
    uint32_t len = left < size ? left : (uint32_t)size;
    (void)nghttp2;
    (void)stream;
    memcpy(out, pong->bytes + pong->sent, len);
    pong->sent += len;
    if (pong->sent < pong->len)
        return len;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    pong_take(context, pong);
    free(pong);
    return len;
}

/* One that comes before the last has left is not sent: a pong answers the pings before it too
 * (RFC 6455 section 5.5.3). */
static void send_pong(struct load *load, struct subscriber *subscriber, const char *bytes,
                      size_t len)
{
    struct link *link = link_of(load, subscriber);
    struct session *session = session_of(load, link);
    for (const struct pong *pong = session->pongs; pong; pong = pong->next)
        if (pong->stream == session->stream)
            return;
    struct pong *pong = malloc(sizeof *pong + len);
    assert(pong);
    *pong = (struct pong){.next = session->pongs, .stream = session->stream, .len = (uint32_t)len};
    memcpy(pong->bytes, bytes, len);
    session->pongs = pong;
    const nghttp2_data_provider provider = {.source.ptr = pong, .read_callback = pong_read};
    int err = nghttp2_submit_data(session->nghttp2, NGHTTP2_FLAG_NONE, pong->stream, &provider);
    if (err == 0)
        return;
    pong_take(session, pong);
    free(pong);
}

static void pongs_drop(struct session *session, int32_t stream)
{
    for (struct pong **at = &session->pongs; *at;) {
        struct pong *pong = *at;
        if (pong->stream != stream) {
            at = &pong->next;
            continue;
        }
        *at = pong->next;
        free(pong);
    }
}

/* ---- reading ---- */

static struct subscriber *subscriber_of(struct session *session, int32_t stream)
{
    struct subscriber *subscriber = nghttp2_session_get_stream_user_data(session->nghttp2, stream);
    return subscriber && subscriber_open(subscriber) ? subscriber : NULL;
}

/* What a callback says to nghttp2: to stop, where the link has ended. While it writes it would lose
 * a frame by that, and there is nothing that it could do. */
static int go_on(const struct session *session)
{
    return session->over && !session->writing ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *context)
{
    struct session *session = context;
    (void)nghttp2;
    (void)frame;
    session->status = 0;
    session->retry_len = 0;
    return 0;
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    struct session *session = context;
    const struct span key = {(const char *)name, name_len};
    (void)nghttp2;
    (void)frame;
    (void)flags;
    if (span_equal(key, SPAN(":status"))) /* nghttp2 has seen to it that these are digits */
        for (size_t i = 0; i < value_len; i++)
            session->status = session->status * 10 + (value[i] - '0');
    if (span_equal(key, SPAN("retry-after")) && value_len <= RETRY_AFTER_MAX) {
        session->retry_len = (uint8_t)value_len;
        memcpy(session->retry_after, value, value_len);
    }
    return 0;
}

/* Says what is wrong, once as much of the body is there as there will be. */
static void refused(struct session *session, struct subscriber *subscriber, struct span body)
{
    subscriber_hint_answer(subscriber, span_of(session->retry_after, session->retry_len), body);
    subscriber_fail(session->load, subscriber,
                    subscriber->kept & KEPT_SHED ? LOAD_FAIL_SHED : LOAD_FAIL_STATUS);
}

static void answered(struct session *session, struct subscriber *subscriber, bool ends)
{
    const int status = session->status;
    if (status < 200) /* the answer proper is still to come */
        return;
    if (status < 300) {
        session->speech->answered(session->load, subscriber);
        return;
    }
    subscriber->kept = status_failure(session->load, subscriber, status) == LOAD_FAIL_SHED
                           ? KEPT_SHED
                           : KEPT_STATUS;
    if (ends)
        refused(session, subscriber, (struct span){0});
}

/* The server says whether it takes WebSockets. */
static void settled(struct session *session, struct link *link)
{
    if (!session->speech->connects || session->asked)
        return;
    session->asked = true;
    if (nghttp2_session_get_remote_settings(session->nghttp2,
                                            NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1)
        link_ask_all(session->load, link);
    else
        link_fail(session->load, link, LOAD_FAIL_WEBSOCKET);
}

static int on_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *context)
{
    struct session *session = context;
    (void)nghttp2;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        settled(session, &session->load->links[session->link]);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        session->goodbye = frame->goaway.error_code == NGHTTP2_NO_ERROR;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return go_on(session);
    session->stream = frame->hd.stream_id;
    struct subscriber *subscriber = subscriber_of(session, frame->hd.stream_id);
    if (subscriber)
        answered(session, subscriber, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    return go_on(session);
}

static int on_data(nghttp2_session *nghttp2, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *context)
{
    struct session *session = context;
    struct subscriber *subscriber = subscriber_of(session, stream);
    char *bytes = (char *)(uintptr_t)data; /* they lie in what was read, which is ours */
    (void)flags;
    session->stream = stream;
    h2_windows_came(nghttp2, stream, len,
                    !(session->load->links[session->link].flags & LINK_STALLED));
    if (!subscriber)
        return 0;
    if (subscriber->kept & (KEPT_SHED | KEPT_STATUS))
        refused(session, subscriber, span_of(bytes, len));
    else
        session->speech->body(session->load, subscriber, bytes, len);
    return go_on(session);
}

static int on_close(nghttp2_session *nghttp2, int32_t stream, uint32_t error, void *context)
{
    struct session *session = context;
    struct subscriber *subscriber = subscriber_of(session, stream);
    (void)nghttp2;
    pongs_drop(session, stream);
    session->stream = stream;
    if (!subscriber || session->over)
        return go_on(session);
    if (error == NGHTTP2_REFUSED_STREAM)
        subscriber_fail(session->load, subscriber, LOAD_FAIL_SHED);
    else if (error != NGHTTP2_NO_ERROR)
        subscriber_fail(session->load, subscriber, LOAD_FAIL_RESET);
    else if (subscriber->kept & (KEPT_SHED | KEPT_STATUS))
        refused(session, subscriber, (struct span){0});
    else
        session->speech->ended(session->load, subscriber);
    return go_on(session);
}

/* ---- a session's life ---- */

static void session_free(struct session *session)
{
    nghttp2_session_del(session->nghttp2);
    while (session->pongs)
        pongs_drop(session, session->pongs->stream);
    free(session);
}

static nghttp2_session *nghttp2_make(struct session *session)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    nghttp2_session *made = NULL;
    int err = nghttp2_session_callbacks_new(&callbacks);
    assert(err == 0);
    err = nghttp2_option_new(&options);
    assert(err == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_closed_streams(options, 1);
    h2_windows_options(options);
    err = nghttp2_session_client_new2(&made, callbacks, session, options);
    assert(err == 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    return made;
}

static const struct speech *speech_of(const struct protocol *protocol);

static void opened(struct load *load, struct link *link)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    struct session *session = calloc(1, sizeof *session);
    assert(session);
    session->load = load;
    session->link = link_index(load, link);
    session->speech = speech_of(link_protocol(load, link));
    session->nghttp2 = nghttp2_make(session);
    load->states[session->link] = session;
    int err = nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, settings,
                                      sizeof settings / sizeof settings[0]);
    if (err == 0)
        err = nghttp2_session_set_local_window_size(session->nghttp2, NGHTTP2_FLAG_NONE, 0,
                                                    CONNECTION_WINDOW);
    assert(err == 0);
    session->reading = true; /* all of them ask in one send */
    if (!session->speech->connects)
        link_ask_all(load, link);
    session->reading = false;
    if (session->over)
        session_free(session);
    else
        flush(load, link, session);
}

/* Says what there is to say. When nghttp2 wants to hear nothing more, either the server has said
 * goodbye, or what it said is not HTTP/2. */
static void go_on_link(struct load *load, struct link *link, struct session *session)
{
    bool goodbye = session->goodbye;
    flush(load, link, session);
    if (link_open(link) && !nghttp2_session_want_read(session->nghttp2))
        link_fail(load, link, goodbye ? LOAD_FAIL_END : LOAD_FAIL_HTTP);
}

static void input(struct load *load, struct link *link, char *bytes, size_t len)
{
    struct session *session = session_of(load, link);
    session->reading = true;
    ssize_t taken = nghttp2_session_mem_recv(session->nghttp2, (const uint8_t *)bytes, len);
    session->reading = false;
    if (session->over)
        session_free(session);
    else if (taken < 0)
        link_fail(load, link, LOAD_FAIL_HTTP);
    else
        go_on_link(load, link, session);
}

static void closed(struct load *load, struct link *link)
{
    struct session *session = session_of(load, link);
    load->states[link_index(load, link)] = NULL;
    if (!session)
        return;
    session->over = session->reading;
    if (!session->over)
        session_free(session);
}

static void left(struct load *load, struct subscriber *subscriber)
{
    struct session *session = session_of(load, link_of(load, subscriber));
    nghttp2_submit_rst_stream(session->nghttp2, NGHTTP2_FLAG_NONE, session->stream, NGHTTP2_CANCEL);
}

static void grant(struct load *load, struct link *link, uint32_t bytes)
{
    struct session *session = session_of(load, link);
    if (bytes == 0)
        h2_windows_shut(session->nghttp2);
    else if (bytes == UINT32_MAX)
        h2_windows_open(session->nghttp2, STREAM_WINDOW);
    else
        h2_windows_grant(session->nghttp2, bytes);
    flush(load, link, session);
}

/* ---- event streams and WebSockets ---- */

static void end(struct load *load, struct subscriber *subscriber)
{
    subscriber_fail(load, subscriber, LOAD_FAIL_END);
}

const struct protocol protocol_h2_sse = {
    .name = "h2-sse",
    .path = "/sse?channel=%s",
    .fields = "Accept: " SSE_CONTENT_TYPE "\r\n",
    .alpn = "h2",
    .is = PROTOCOL_STREAMS | PROTOCOL_STALLS,
    .held_bytes = STASH_EVENT_EXTRA,
    .opened = opened,
    .ask = ask,
    .input = input,
    .closed = closed,
    .left = left,
    .grant = grant,
};

const struct protocol protocol_h2_websocket_envelope = {
    .name = "h2-websocket-envelope",
    .path = "/ws?envelope=1&channel=%s",
    .alpn = "h2",
    .is = PROTOCOL_STREAMS | PROTOCOL_JSON | PROTOCOL_STALLS,
    .opened = opened,
    .ask = ask,
    .input = input,
    .closed = closed,
    .left = left,
    .grant = grant,
    .send = send_pong,
};

const struct protocol protocol_h2_websocket = {
    .name = "h2-websocket",
    .path = "/ws?channel=%s",
    .alpn = "h2",
    .is = PROTOCOL_STREAMS | PROTOCOL_STALLS,
    .resumes_as = &protocol_h2_websocket_envelope,
    .opened = opened,
    .ask = ask,
    .input = input,
    .closed = closed,
    .left = left,
    .grant = grant,
    .send = send_pong,
};

/* ---- polls ---- */

const struct protocol protocol_h2_poll = {
    .name = "h2-poll",
    .path = "/poll?channel=%s",
    .alpn = "h2",
    .is = PROTOCOL_STREAMS | PROTOCOL_ASKS | PROTOCOL_BY_CLOCK,
    .opened = opened,
    .ask = ask,
    .input = input,
    .closed = closed,
    .left = left,
};

const struct protocol protocol_h2_longpoll = {
    .name = "h2-longpoll",
    .path = "/longpoll?channel=%s",
    .join_path = "/poll?channel=%s",
    .alpn = "h2",
    .is = PROTOCOL_STREAMS | PROTOCOL_ASKS,
    .opened = opened,
    .ask = ask,
    .input = input,
    .closed = closed,
    .left = left,
};

static const struct speech speeches[] = {
    {&protocol_h2_sse, false, sse_opened, sse_stream, end},
    {&protocol_h2_websocket, true, ws_opened, ws_frames, end},
    {&protocol_h2_websocket_envelope, true, ws_opened, ws_frames, end},
    {&protocol_h2_poll, false, poll_begun, poll_piece, poll_over},
    {&protocol_h2_longpoll, false, poll_begun, poll_piece, poll_over},
};

static const struct speech *speech_of(const struct protocol *protocol)
{
    for (size_t i = 0; i < sizeof speeches / sizeof speeches[0]; i++)
        if (speeches[i].protocol == protocol)
            return &speeches[i];
    assert(!"a row of this file");
    return NULL;
}
