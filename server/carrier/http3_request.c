/* http3_request: fields become a request, and DATA its body or the bytes of a WebSocket
 * (RFC 9114 section 4). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "carrier/quic_internal.h"
#include "conn/log.h"
#include "http/body.h"
#include "wire/chars.h"

enum {
    FIELD_OVERHEAD = 32, /* RFC 9114 section 4.2.2 */
    FLAG_BLOCKED = 0x04, /* of the decoder: it waits for a table, and there is none */
};

/* A head while it is decoded: the fields with their bytes behind them. */
struct head {
    struct http_request request;
    struct span method, scheme, path, authority, protocol;
    uint64_t listed; /* its size as RFC 9114 section 4.2.2 counts it */
    uint64_t max;    /* head_bytes_max */
    uint32_t used;
    bool too_long, too_many;
    bool is_malformed;
    bool in_fields; /* the pseudo ones are over */
    char bytes[];   /* max */
};

/* ---- fields ---- */

static struct span keep(struct head *head, struct span bytes)
{
    char *at = head->bytes + head->used;
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    head->used += (uint32_t)bytes.len;
    return span_of(at, bytes.len);
}

static struct span *pseudo_field(struct head *head, struct span name)
{
    if (span_equal(name, SPAN(":method")))
        return &head->method;
    if (span_equal(name, SPAN(":scheme")))
        return &head->scheme;
    if (span_equal(name, SPAN(":path")))
        return &head->path;
    if (span_equal(name, SPAN(":authority")))
        return &head->authority;
    return span_equal(name, SPAN(":protocol")) ? &head->protocol : NULL;
}

/* RFC 9114 section 4.3: those that are known, once each, before all others. */
static bool add_pseudo(struct head *head, struct span name, struct span value)
{
    struct span *pseudo = pseudo_field(head, name);
    if (!pseudo || pseudo->ptr || head->in_fields)
        return false;
    *pseudo = keep(head, value);
    return true;
}

/* RFC 9114 section 4.2: what is about a connection of HTTP/1 makes a message malformed. */
static bool is_of_connection(struct span name, struct span value)
{
    return span_equal(name, SPAN("connection")) || span_equal(name, SPAN("keep-alive")) ||
           span_equal(name, SPAN("proxy-connection")) ||
           span_equal(name, SPAN("transfer-encoding")) || span_equal(name, SPAN("upgrade")) ||
           (span_equal(name, SPAN("te")) && !span_equal(value, SPAN("trailers")));
}

static bool is_lower_token(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            return false;
    return name.len > 0 && chars_all(name, CHAR_TOKEN);
}

static bool is_value(struct span value)
{
    return nghttp3_check_header_value((const uint8_t *)value.ptr, value.len) != 0;
}

/* Returns false when the message is malformed by it. */
static bool add_field(struct head *head, struct span name, struct span value)
{
    struct http_fields *fields = &head->request.fields;
    if (!is_value(value))
        return false;
    if (name.len > 0 && name.ptr[0] == ':')
        return add_pseudo(head, name, value);
    head->in_fields = true;
    if (!is_lower_token(name) || is_of_connection(name, value))
        return false;
    if (fields->count == HTTP_FIELDS_MAX) {
        head->too_many = true;
        return true;
    }
    struct http_field *field = &fields->list[fields->count++];
    field->name = keep(head, name);
    field->value = keep(head, value);
    return true;
}

/* Returns a code to close the connection with, or 0. */
static uint64_t take_field(struct head *head, struct span name, struct span value)
{
    head->listed += name.len + value.len + FIELD_OVERHEAD;
    if (head->listed > HTTP3_HEAD_TIMES * head->max)
        return HTTP3_EXCESSIVE_LOAD;
    if (head->listed > head->max)
        head->too_long = true;
    else
        head->is_malformed |= !add_field(head, name, value);
    return 0;
}

static struct span span_of_rcbuf(const nghttp3_rcbuf *buffer)
{
    nghttp3_vec vector = nghttp3_rcbuf_get_buf(buffer);
    return span_of((const char *)vector.base, vector.len);
}

/* Returns a code, or 0. */
static uint64_t decode(const struct http3_stream *stream, nghttp3_qpack_stream_context *context,
                       struct head *head)
{
    struct span left = span_of(stream->head, stream->head_len);
    uint8_t flags = 0;
    while (!(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)) {
        nghttp3_qpack_nv field;
        nghttp3_ssize taken =
            nghttp3_qpack_decoder_read_request(stream->quic->port->decoder, context, &field, &flags,
                                               (const uint8_t *)left.ptr, left.len, 1);
        if (taken < 0 || flags & FLAG_BLOCKED)
            return HTTP3_QPACK_DECOMPRESSION_FAILED;
        left = span_skip(left, (size_t)taken);
        if (!(flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT))
            continue;
        uint64_t code = take_field(head, span_of_rcbuf(field.name), span_of_rcbuf(field.value));
        nghttp3_rcbuf_decref(field.name);
        nghttp3_rcbuf_decref(field.value);
        if (code != 0)
            return code;
    }
    return 0;
}

static uint64_t decode_head(const struct http3_stream *stream, struct head *head)
{
    nghttp3_qpack_stream_context *context;
    if (nghttp3_qpack_stream_context_new(&context, stream->id, nghttp3_mem_default()) != 0)
        return HTTP3_INTERNAL_ERROR;
    uint64_t code = decode(stream, context, head);
    nghttp3_qpack_stream_context_del(context);
    if (code == HTTP3_QPACK_DECOMPRESSION_FAILED)
        quic_decoder_renew(stream->quic->port);
    return code;
}

/* ---- a request ---- */

/* RFC 9114 section 4.3.1, RFC 9220. */
static bool is_whole(const struct head *head)
{
    bool is_connect = span_equal(head->method, SPAN("CONNECT"));
    if (head->is_malformed || head->method.len == 0)
        return false;
    if (is_connect && head->protocol.len == 0)
        return !head->scheme.ptr && !head->path.ptr && head->authority.len > 0;
    return head->scheme.len > 0 && head->path.len > 0 && (is_connect || !head->protocol.ptr);
}

static int request_make(struct head *head, bool ended)
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

struct conn *http3_line_open(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    struct shard *shard = quic->shard;
    struct conn *line = stream_open(shard, &quic->carrier, 1);
    if (!line) {
        log_refusal(shard, conn_at(shard, quic->carrier.slot), REFUSAL_TABLE_FULL);
        http3_stream_reset(stream, HTTP3_REQUEST_REJECTED);
        return NULL;
    }
    stream->slot = conn_slot(shard, line);
    stream->had_line = true;
    DL_DELETE(quic->streams, stream);
    DL_PREPEND(quic->streams, stream);
    if (stream->input_ended)
        line->link |= LINK_INPUT_ENDED;
    return line;
}

static void serve(struct http3_stream *stream, struct head *head)
{
    struct shard *shard = stream->quic->shard;
    int err = request_make(head, stream->input_ended);
    bool is_session = err == 0 && span_equal(head->protocol, WEBTRANSPORT_PROTOCOL);
    struct conn *line = http3_line_open(stream);
    if (!line)
        return;
    if (is_session && http3_session_begin(stream) < 0) {
        http3_line_end(stream, CLOSE_OVERLOADED);
        http3_stream_reset(stream, HTTP3_INTERNAL_ERROR);
        return;
    }
    if (err == 0 && head->request.fields.has_content_length)
        stream->body_left = head->request.fields.content_length;
    if (err < 0)
        http_refuse_head(shard, line, refusal_http(err));
    else
        http_serve(shard, line, &head->request);
    if (stream->input_ended)
        http_stream_ended(shard, line);
}

void http3_malformed(struct http3_stream *stream)
{
    http3_line_end(stream, CLOSE_BAD_REQUEST);
    http3_stream_reset(stream, HTTP3_MESSAGE_ERROR);
}

static uint64_t understand(struct http3_stream *stream, struct head *head)
{
    uint64_t code = decode_head(stream, head);
    if (code != 0)
        return code;
    if (stream->has_trailers)
        return 0; /* nobody here asks for any */
    if (!head->too_long && !is_whole(head))
        http3_malformed(stream);
    else
        serve(stream, head);
    return 0;
}

static void head_free(struct http3_stream *stream)
{
    quic_give(stream->quic, stream->head);
    stream->head = NULL;
    stream->head_len = stream->head_size = 0;
}

static uint64_t head_ends(struct http3_stream *stream)
{
    uint64_t max = (uint64_t)stream->quic->shard->settings->head_bytes_max;
    struct head *head = malloc(sizeof *head + max);
    if (!head)
        return HTTP3_INTERNAL_ERROR;
    *head = (struct head){.max = max, .too_long = stream->refuses_head};
    stream->has_trailers = stream->has_head;
    stream->has_head = true;
    uint64_t code = 0;
    if (!stream->refuses_head)
        code = understand(stream, head);
    else if (!stream->has_trailers)
        serve(stream, head);
    free(head);
    return code;
}

/* ---- frames ---- */

static uint64_t frame_begins(struct http3_stream *stream, const struct http3_piece *piece)
{
    switch (piece->type) {
    case HTTP3_DATA:
        return !stream->has_head || stream->has_trailers ? HTTP3_FRAME_UNEXPECTED : 0;
    case HTTP3_HEADERS:
        break;
    case HTTP3_CANCEL_PUSH:
    case HTTP3_SETTINGS:
    case HTTP3_PUSH_PROMISE:
    case HTTP3_GOAWAY:
    case HTTP3_MAX_PUSH_ID:
        return HTTP3_FRAME_UNEXPECTED;
    default:
        return http3_type_is_reserved(piece->type) ? HTTP3_FRAME_UNEXPECTED : 0;
    }
    if (stream->has_trailers)
        return HTTP3_FRAME_UNEXPECTED;
    stream->refuses_head = piece->length > (uint64_t)stream->quic->shard->settings->head_bytes_max;
    if (stream->refuses_head || piece->length == 0)
        return 0;
    stream->head = quic_take(stream->quic, (size_t)piece->length);
    if (!stream->head)
        return HTTP3_INTERNAL_ERROR;
    stream->head_size = (uint32_t)piece->length;
    return 0;
}

static uint64_t head_input(struct http3_stream *stream, const struct http3_piece *piece)
{
    if (stream->head) {
        memcpy(stream->head + stream->head_len, piece->payload.ptr, piece->payload.len);
        stream->head_len += (uint32_t)piece->payload.len;
    }
    if (!piece->ends)
        return 0;
    uint64_t code = head_ends(stream);
    if (!stream->quic->is_dead)
        head_free(stream);
    return code;
}

static uint64_t data_input(struct http3_stream *stream, struct span payload)
{
    struct conn *line = http3_line(stream);
    if (stream->body_left != UINT64_MAX && payload.len > stream->body_left) {
        http3_malformed(stream);
        return 0;
    }
    if (stream->body_left != UINT64_MAX)
        stream->body_left -= payload.len;
    if (stream->session) {
        http3_session_input(stream, payload);
        return 0;
    }
    /* It lies where the library has decrypted it to, and may be changed there. */
    if (line && payload.len > 0)
        http_stream_input(stream->quic->shard, line, (char *)(uintptr_t)payload.ptr, payload.len);
    return 0;
}

uint64_t http3_piece(struct http3_stream *stream, const struct http3_piece *piece)
{
    uint64_t code = piece->begins ? frame_begins(stream, piece) : 0;
    if (code != 0)
        return code;
    switch (piece->type) {
    case HTTP3_HEADERS:
        return head_input(stream, piece);
    case HTTP3_DATA:
        return data_input(stream, piece->payload);
    default:
        return 0;
    }
}

/* Of its body, or of a capsule (RFC 9297 section 3.3). */
static bool ends_in_the_middle(const struct http3_stream *stream)
{
    if (stream->body_left != UINT64_MAX && stream->body_left > 0)
        return true;
    return stream->session && !http3_frames_may_end(&stream->session->capsules.frames);
}

uint64_t http3_request_ended(struct http3_stream *stream)
{
    struct conn *line = http3_line(stream);
    if (!stream->has_head)
        http3_stream_reset(stream, HTTP3_REQUEST_INCOMPLETE);
    else if (line && ends_in_the_middle(stream))
        http3_malformed(stream);
    else if (line && !(line->link & LINK_INPUT_ENDED))
        http_stream_ended(stream->quic->shard, line);
    return 0;
}

void http3_read_on(struct shard *shard, struct conn *line)
{
    struct conn_extra *extra = line->extra;
    if (line->link & LINK_PAUSED || !extra || extra->unread == 0)
        return;
    struct quic *quic = (struct quic *)stream_carrier(shard, line);
    const struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
    quic_submitted(quic,
                   ngtcp2_conn_extend_max_stream_offset(quic->conn, stream->id, extra->unread));
    extra->unread = 0;
    carrier_due(shard, &quic->carrier);
}
