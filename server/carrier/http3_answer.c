/* http3_answer: the head of an answer as fields (RFC 9114 section 4.3.2). */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "carrier/quic_internal.h"
#include "wire/out.h"

enum {
    FIELDS_MAX = 32,
    NAMES_MAX = 1024, /* bytes of all names, in lower case */
    PROTOCOL_MAX = 64,
};

struct fields {
    nghttp3_nv list[FIELDS_MAX];
    size_t count;
    struct out names;
    char bytes[NAMES_MAX];
};

static void add(struct fields *fields, struct span name, struct span value)
{
    assert(fields->count < FIELDS_MAX);
    char *lower = fields->names.at;
    out_span(&fields->names, name);
    assert(!fields->names.overflow);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = span_lower(lower[i]);
    fields->list[fields->count++] = (nghttp3_nv){
        .name = (uint8_t *)lower,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .namelen = name.len,
        .valuelen = value.len,
    };
}

/* RFC 9114 section 4.2: what is about the connection is not said in HTTP/3. */
static bool is_of_connection(struct span name)
{
    return span_equal_nocase(name, SPAN("connection")) || span_equal_nocase(name, SPAN("upgrade"));
}

/* Lines "Name: value" CRLF. */
static void add_lines(struct fields *fields, struct span lines)
{
    while (lines.len > 0) {
        const char *end = memchr(lines.ptr, '\r', lines.len);
        const char *colon = memchr(lines.ptr, ':', lines.len);
        assert(end && colon && colon < end && colon[1] == ' ');
        struct span name = span_of(lines.ptr, (size_t)(colon - lines.ptr));
        struct span value = span_of(colon + 2, (size_t)(end - colon) - 2);
        if (!is_of_connection(name))
            add(fields, name, value);
        lines = span_skip(lines, (size_t)(end - lines.ptr) + 2);
    }
}

static bool has_no_body(const struct conn *line, const struct http_response_head *head)
{
    return line->asked & ASKED_HEAD_ONLY || head->framing == HTTP_FRAMING_NONE ||
           (head->framing == HTTP_FRAMING_LENGTH && head->content_length == 0);
}

/* The frame: its head, the prefix of the section, and the section. Returns 0 or -ENOMEM. */
static int queue_section(struct http3_stream *stream, const nghttp3_buf *prefix,
                         const nghttp3_buf *section)
{
    uint8_t frame[2 * VARINT_BYTES_MAX];
    size_t prefix_len = nghttp3_buf_len(prefix), section_len = nghttp3_buf_len(section);
    size_t len = http3_frame_head(frame, HTTP3_HEADERS, prefix_len + section_len);
    int err = http3_queue(stream, frame, len);
    if (err == 0)
        err = http3_queue(stream, prefix->pos, prefix_len);
    return err < 0 ? err : http3_queue(stream, section->pos, section_len);
}

static int send_fields(struct http3_stream *stream, const struct fields *fields)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    nghttp3_buf prefix, section, table;
    nghttp3_buf_init(&prefix);
    nghttp3_buf_init(&section);
    nghttp3_buf_init(&table);
    int err = nghttp3_qpack_encoder_encode(stream->quic->port->encoder, &prefix, &section, &table,
                                           stream->id, fields->list, fields->count);
    assert(nghttp3_buf_len(&table) == 0 && "there is no table to speak of");
    if (err == 0)
        err = queue_section(stream, &prefix, &section);
    nghttp3_buf_free(&prefix, memory);
    nghttp3_buf_free(&section, memory);
    nghttp3_buf_free(&table, memory);
    return err;
}

/* The sub-protocol is a string of RFC 8941, in quotes. */
static void add_session(struct fields *fields, const struct http3_session *session,
                        char protocol[PROTOCOL_MAX])
{
    add(fields, SPAN("sec-webtransport-http3-draft"), SPAN("draft02"));
    if (!session->protocol)
        return;
    int len = snprintf(protocol, PROTOCOL_MAX, "\"%s\"", session->protocol);
    assert(len > 0 && len < PROTOCOL_MAX);
    add(fields, SPAN("wt-protocol"), span_of(protocol, (size_t)len));
}

void http3_head(struct shard *shard, struct conn *line, const struct http_response_head *head)
{
    struct quic *quic = (struct quic *)stream_carrier(shard, line);
    struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
    bool interim = head->status < 200;
    bool ends = !interim && has_no_body(line, head);
    char status[DIGITS_DECIMAL_MAX], length[DIGITS_DECIMAL_MAX], protocol[PROTOCOL_MAX];
    struct fields fields;
    if (stream->is_raw) {
        http3_tunnel_head(stream, head);
        return;
    }
    fields.count = 0;
    fields.names = out_begin(fields.bytes, sizeof fields.bytes);
    add(&fields, SPAN(":status"),
        span_of(status, digits_decimal_write(status, (uint64_t)head->status)));
    if (head->content_type.len > 0)
        add(&fields, SPAN("content-type"), head->content_type);
    if (head->framing == HTTP_FRAMING_LENGTH)
        add(&fields, SPAN("content-length"),
            span_of(length, digits_decimal_write(length, head->content_length)));
    add_lines(&fields, head->extra);
    bool is_session = stream->session && head->status >= 200 && head->status < 300;
    if (is_session)
        add_session(&fields, stream->session, protocol);
    if (send_fields(stream, &fields) != 0) {
        conn_end(shard, line, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    stream->has_answer |= !interim;
    if (is_session)
        http3_session_answered(stream);
    if (ends) {
        stream->ends = true;
        line->link |= LINK_END_SENT;
    }
    http3_ready(stream);
    carrier_due(shard, &quic->carrier);
}
