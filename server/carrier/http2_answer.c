/* http2_answer: the head of an answer as fields (RFC 9113 section 8.3.2). */
#include <assert.h>
#include <string.h>

#include "carrier/http2_internal.h"
#include "wire/out.h"

enum {
    FIELDS_MAX = 32,
    NAMES_MAX = 1024, /* bytes of all names, in lower case */
};

struct fields {
    nghttp2_nv list[FIELDS_MAX];
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
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] + ('a' - 'A'));
    fields->list[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)lower,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
    };
}

/* RFC 9113 section 8.2.2: what is about the connection is not said in HTTP/2. */
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

static bool has_no_body(const struct conn *stream, const struct http_response_head *head)
{
    return stream->asked & ASKED_HEAD_ONLY || head->framing == HTTP_FRAMING_NONE ||
           (head->framing == HTTP_FRAMING_LENGTH && head->content_length == 0);
}

void http2_head(struct shard *shard, struct conn *stream, const struct http_response_head *head)
{
    struct http2 *http2 = (struct http2 *)stream_carrier(shard, stream);
    bool interim = head->status < 200;
    bool ends = !interim && has_no_body(stream, head);
    char status[DIGITS_DECIMAL_MAX], length[DIGITS_DECIMAL_MAX];
    struct fields fields;
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
    uint8_t flags = ends ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE;
    int err = nghttp2_submit_headers(http2->session, flags, stream_link(shard, stream)->id, NULL,
                                     fields.list, fields.count, NULL);
    if (err != 0) {
        conn_end(shard, stream, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    if (ends)
        stream->link |= LINK_END_SENT;
    carrier_due(shard, &http2->carrier);
}
