/* http2_request: fields become a request, and DATA its body or the bytes of a WebSocket. */
#include <stdlib.h>
#include <string.h>

#include "carrier/http2_internal.h"
#include "conn/log.h"
#include "http/body.h"

enum {
    FIELD_OVERHEAD = 32, /* RFC 9113 section 6.5.2 */
};

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct http2 *http2 = user_data;
    if (!is_request(frame))
        return 0;
    free(http2->head); /* of one with an error, whose rest was not told */
    http2->head = NULL;
    struct http2_head *head = malloc(sizeof *head + (size_t)http2->shard->settings->head_bytes_max);
    if (!head)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    *head = (struct http2_head){.stream = frame->hd.stream_id};
    http2->head = head;
    return 0;
}

/* ---- fields ---- */

static struct span keep(struct http2_head *head, const uint8_t *bytes, size_t len)
{
    char *at = head->bytes + head->used;
    if (len > 0)
        memcpy(at, bytes, len);
    head->used += (uint32_t)len;
    return span_of(at, len);
}

static struct span *pseudo_field(struct http2_head *head, struct span name)
{
    if (span_equal(name, SPAN(":method")))
        return &head->method;
    if (span_equal(name, SPAN(":path")))
        return &head->path;
    if (span_equal(name, SPAN(":authority")))
        return &head->authority;
    return span_equal(name, SPAN(":protocol")) ? &head->protocol : NULL;
}

static void add_field(struct http2_head *head, struct span name, const uint8_t *value,
                      size_t value_len)
{
    struct http_fields *fields = &head->request.fields;
    if (name.ptr[0] == ':') {
        struct span *pseudo = pseudo_field(head, name);
        if (pseudo)
            *pseudo = keep(head, value, value_len);
        return;
    }
    if (fields->count == HTTP_FIELDS_MAX) {
        head->too_many = true;
        return;
    }
    struct http_field *field = &fields->list[fields->count++];
    field->name = keep(head, (const uint8_t *)name.ptr, name.len);
    field->value = keep(head, value, value_len);
}

/* What is beyond the bound is decoded, or the tables of both sides would part, and not kept. */
int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *user_data)
{
    (void)session, (void)flags;
    struct http2 *http2 = user_data;
    struct http2_head *head = http2->head;
    uint64_t max = (uint64_t)http2->shard->settings->head_bytes_max;
    if (!is_request(frame) || !head)
        return 0;
    head->listed += (uint32_t)(name_len + value_len + FIELD_OVERHEAD);
    if (head->listed > HTTP2_HEAD_TIMES * max)
        return http2_flooded(http2, HTTP2_FLOOD_HEAD);
    if (head->listed > max)
        head->too_long = true;
    else
        add_field(head, span_of((const char *)name, name_len), value, value_len);
    return 0;
}

/* ---- a request ---- */

static int request_make(struct http2_head *head, bool ended)
{
    struct http_request *request = &head->request;
    if (head->too_long)
        return HTTP_ERROR_HEAD_LONG;
    if (head->too_many)
        return HTTP_ERROR_FIELDS_MANY;
    int err = http_request_make(request, head->method, head->path, head->authority, head->protocol);
    /* A body of unknown length: as HTTP/1.1 says it. */
    if (err == 0 && !ended && !request->fields.has_content_length && head->protocol.len == 0)
        request->fields.chunked = true;
    return err;
}

static void refused(struct http2 *http2, int32_t id)
{
    struct shard *shard = http2->shard;
    enum refusal refusal = http2->drains ? REFUSAL_DRAINING : REFUSAL_TABLE_FULL;
    log_refusal(shard, http2_socket(http2), refusal);
    http2_submitted(http2, nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id,
                                                     NGHTTP2_REFUSED_STREAM));
}

struct conn *http2_open(struct http2 *http2, int32_t id)
{
    struct shard *shard = http2->shard;
    struct conn *stream = http2->drains ? NULL : stream_open(shard, &http2->carrier, id);
    if (!stream) {
        refused(http2, id);
        return NULL;
    }
    uintptr_t mark = conn_slot(shard, stream);
    nghttp2_session_set_stream_user_data(http2->session, id, (void *)(mark + 1));
    http2->has_served = true;
    if (http2->carrier.count == 1) {
        http2->idles = false;
        conn_heartbeat(shard, http2_socket(http2));
    }
    return stream;
}

static void serve(struct http2 *http2, struct http2_head *head, bool ended)
{
    struct shard *shard = http2->shard;
    struct conn *stream = http2_open(http2, head->stream);
    if (!stream)
        return;
    if (ended)
        stream->link |= LINK_INPUT_ENDED;
    int err = request_make(head, ended);
    if (err < 0)
        http_refuse_head(shard, stream, refusal_http(err));
    else {
        http2_push(http2, head->stream, &head->request);
        http_serve(shard, stream, &head->request);
    }
    if (ended)
        http_tunnel_ended(shard, stream);
}

void http2_request(struct http2 *http2, const nghttp2_frame *frame)
{
    struct http2_head *head = http2->head;
    if (!is_request(frame) || !head)
        return;
    http2->head = NULL;
    serve(http2, head, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    free(head);
}

/* ---- what follows a head ---- */

/* A stream whose answers do not leave is not read from: its window stays closed. */
static void tell_window(struct http2 *http2, struct conn *stream, int32_t id, size_t len)
{
    struct shard *shard = http2->shard;
    bool waits = stream && stream->state == CONN_OPEN &&
                 conn_waiting(stream) > (uint64_t)shard->settings->queue_bytes_max;
    struct conn_extra *extra = waits ? conn_extra(stream) : NULL;
    if (!extra) {
        http2_submitted(http2, nghttp2_session_consume(http2->session, id, len));
        return;
    }
    conn_pause(stream);
    extra->unread += (uint32_t)len;
    http2_submitted(http2, nghttp2_session_consume_connection(http2->session, len));
}

int http2_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                  size_t len, void *user_data)
{
    (void)session, (void)flags;
    struct http2 *http2 = user_data;
    struct shard *shard = http2->shard;
    struct conn *stream = http2_stream(http2, stream_id);
    /* It lies in the area that we received into, and may be changed there. */
    char *bytes = (char *)(uintptr_t)data;
    if (stream)
        http_stream_input(shard, stream, bytes, len);
    if (http2->is_dead)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    tell_window(http2, http2_stream(http2, stream_id), stream_id, len);
    return 0;
}

void http2_body_ended(struct http2 *http2, int32_t id)
{
    struct shard *shard = http2->shard;
    struct conn *stream = http2_stream(http2, id);
    if (stream)
        http_stream_ended(shard, stream);
}

void http2_read_on(struct shard *shard, struct conn *stream)
{
    struct conn_extra *extra = stream->extra;
    if (stream->link & LINK_PAUSED || !extra || extra->unread == 0)
        return;
    struct http2 *http2 = (struct http2 *)stream_carrier(shard, stream);
    http2_submitted(http2, nghttp2_session_consume_stream(
                               http2->session, stream_link(shard, stream)->id, extra->unread));
    extra->unread = 0;
    carrier_due(shard, &http2->carrier);
}
