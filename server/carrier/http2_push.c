/* http2_push: one resource is pushed to whoever asks for `/` (RFC 9113 section 8.4). It is here to
 * be measured: browsers have removed it, and say so in their SETTINGS.
 *
 *   GET / ─► PUSH_PROMISE in front of the answer ─► it has left ─► the promised stream gets a line,
 *                                                                  and the request is served there
 *
 * A connection has one promise, or one pushed stream, at a time; a promise keeps the host of its
 * request, for a turn or as long as the socket is full. */
#include <stdlib.h>
#include <string.h>

#include "carrier/http2_internal.h"

struct http2_promise {
    int32_t parent, stream;
    size_t authority_len;
    char authority[];
};

static struct span target_of(const struct http2 *http2)
{
    return span_from(http2->shard->settings->http2_push);
}

static nghttp2_nv field(struct span name, struct span value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
    };
}

/* The promise is kept when the library takes it. */
static void promise(struct http2 *http2, int32_t parent, struct span authority)
{
    const struct conn *socket = http2_socket(http2);
    const bool secure = socket->link & LINK_TLS;
    const nghttp2_nv fields[] = {
        field(SPAN(":method"), SPAN("GET")),
        field(SPAN(":scheme"), secure ? SPAN("https") : SPAN("http")),
        field(SPAN(":authority"), authority),
        field(SPAN(":path"), target_of(http2)),
    };
    struct http2_promise *made = malloc(sizeof *made + authority.len);
    int32_t stream =
        made ? nghttp2_submit_push_promise(http2->session, NGHTTP2_FLAG_NONE, parent, fields,
                                           sizeof fields / sizeof fields[0], NULL)
             : -1;
    if (stream < 0) {
        free(made);
        return;
    }
    *made = (struct http2_promise){parent, stream, authority.len};
    memcpy(made->authority, authority.ptr, authority.len);
    http2->promise = made;
}

void http2_push(struct http2 *http2, int32_t parent, const struct http_request *request)
{
    if (target_of(http2).len == 0 || request->method != HTTP_GET ||
        !span_equal(request->path, SPAN("/")))
        return;
    struct counters *counters = &http2->shard->counters;
    if (nghttp2_session_get_remote_settings(http2->session, NGHTTP2_SETTINGS_ENABLE_PUSH) == 0)
        counter_add(&counters->http2_pushes_unwanted, 1);
    else if (!http2->promise && !http2_stream(http2, http2->pushed))
        promise(http2, parent, request->host);
}

void http2_push_drop(struct http2 *http2)
{
    free(http2->promise);
    http2->promise = NULL;
}

/* It has left. */
static void keep(struct http2 *http2, const struct http2_promise *promise)
{
    struct http_request request = {0};
    struct conn *stream = http2_open(http2, promise->stream);
    if (!stream)
        return;
    http2->pushed = promise->stream;
    stream->link |= LINK_INPUT_ENDED;
    counter_add(&http2->shard->counters.http2_pushes, 1);
    int err = http_request_make(&request, SPAN("GET"), target_of(http2),
                                span_of(promise->authority, promise->authority_len), SPAN(""));
    if (err < 0)
        http_refuse_head(http2->shard, stream, refusal_http(err));
    else
        http_serve(http2->shard, stream, &request);
}

void http2_push_go_on(struct http2 *http2)
{
    struct http2_promise *promise = http2->promise;
    if (!promise)
        return;
    if (nghttp2_session_find_stream(http2->session, promise->stream)) {
        http2->promise = NULL;
        keep(http2, promise);
        free(promise);
    } else if (!nghttp2_session_find_stream(http2->session, promise->parent)) {
        http2_push_drop(http2);
    }
}
