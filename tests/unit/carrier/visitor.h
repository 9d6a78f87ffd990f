/* visitor: a client of HTTP/2 on nghttp2, at the other end of a fake shard's connection.
 *
 * Threads  One. Memory  visitor_come to visitor_leave. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <string.h>

#include "fake_shard.h"

struct visitor {
    struct fake_shard *fake;
    struct fake_client *link;
    nghttp2_session *session;
    bool over;       /* the server has closed, or has said that it will */
    unsigned resets; /* streams that the server has given up */
    unsigned ended;  /* and those that it has ended */
    int status;      /* of the last answer */
    size_t heard_len;
    char heard[4096]; /* the beginning of all DATA */
};

static int visitor_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                          void *user)
{
    (void)session, (void)frame, (void)flags, (void)value_len;
    struct visitor *visitor = user;
    if (name_len == strlen(":status") && memcmp(name, ":status", name_len) == 0)
        visitor->status = (int)strtol((const char *)value, NULL, 10);
    return 0;
}

static int visitor_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                        size_t len, void *user)
{
    (void)session, (void)flags, (void)id;
    struct visitor *visitor = user;
    size_t room = sizeof visitor->heard - visitor->heard_len;
    size_t part = len < room ? len : room;
    memcpy(visitor->heard + visitor->heard_len, data, part);
    visitor->heard_len += part;
    return 0;
}

static int visitor_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct visitor *visitor = user;
    visitor->over |= frame->hd.type == NGHTTP2_GOAWAY;
    visitor->resets += frame->hd.type == NGHTTP2_RST_STREAM;
    visitor->ended +=
        frame->hd.type <= NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    return 0;
}

static inline void visitor_come(struct visitor *visitor, struct fake_shard *fake)
{
    nghttp2_session_callbacks *callbacks;
    *visitor = (struct visitor){.fake = fake};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, visitor_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, visitor_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, visitor_frame);
    int err = nghttp2_session_client_new(&visitor->session, callbacks, visitor);
    assert(err == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(visitor->session, 0, NULL, 0);
    visitor->link = fake_client_open(fake->net, fake->listeners[LISTENER_PLAIN]);
}

static inline void visitor_leave(struct visitor *visitor)
{
    nghttp2_session_del(visitor->session);
    fake_client_close(visitor->link);
}

/* Says what it has. Returns whether there was anything. */
static inline bool visitor_write(struct visitor *visitor)
{
    const uint8_t *bytes;
    ssize_t len;
    bool some = false;
    while ((len = nghttp2_session_mem_send(visitor->session, &bytes)) > 0) {
        (void)fake_client_write(visitor->link, bytes, (size_t)len); /* it may have been reset */
        some = true;
    }
    return some;
}

/* Hears what there is. Returns whether there was anything. */
static inline bool visitor_read(struct visitor *visitor)
{
    static uint8_t bytes[20000];
    ssize_t n;
    bool some = false;
    while ((n = fake_client_read(visitor->link, bytes, sizeof bytes)) > 0) {
        ssize_t taken = nghttp2_session_mem_recv(visitor->session, bytes, (size_t)n);
        assert(taken == n);
        some = true;
    }
    visitor->over |= n != -EAGAIN;
    return some;
}

/* Until neither side has anything more to say; `turn` turns the shard. */
static inline void visitor_settle(struct visitor *visitor, void (*turn)(struct fake_shard *fake))
{
    bool some = true;
    while (some) {
        some = visitor_write(visitor);
        turn(visitor->fake);
        some |= visitor_read(visitor);
    }
}

static inline nghttp2_nv visitor_field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* NULL for `protocol` and for `body`: has none. */
static inline int32_t visitor_ask(struct visitor *visitor, const char *method, const char *path,
                                  const char *protocol, const nghttp2_data_provider *body)
{
    nghttp2_nv fields[] = {visitor_field(":method", method), visitor_field(":scheme", "http"),
                           visitor_field(":authority", "h"), visitor_field(":path", path),
                           visitor_field(":protocol", protocol ? protocol : "")};
    return nghttp2_submit_request(visitor->session, NULL, fields, protocol ? 5 : 4, body, NULL);
}
