/* Field lines (RFC 9112 section 5), framing (section 6), persistence (section 9.3). */
#include "wire/http_fields.h"

#include <assert.h>
#include <limits.h>

#include "wire/chars.h"

/* Below 10^18, so that the value needs no overflow test. */
#define LENGTH_DIGITS_MAX 18

size_t http_head_end(const char *buf, size_t len, size_t scanned)
{
    assert(scanned <= len);
    /* The last two bytes seen may be the start of the end. An empty line that ends in a bare LF
     * counts too: the parser refuses it, instead of waiting for a better one. */
    const char *at = buf + (scanned > 2 ? scanned - 2 : 0);
    const char *end = buf + len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        if (end - at >= 1 && at[0] == '\n')
            return (size_t)(at + 1 - buf);
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at + 2 - buf);
    }
    return 0;
}

int http_head_measure(const char *buf, size_t len, size_t scanned, size_t head_max)
{
    assert(head_max <= INT_MAX);
    size_t head_len = http_head_end(buf, len, scanned);
    if (head_len > head_max || (head_len == 0 && len >= head_max)) {
        /* The second byte at the earliest: a line feed in an empty line before the head is no end.
         */
        bool line_fits = head_max > 2 && memchr(buf + 2, '\n', head_max - 2);
        return line_fits ? HTTP_ERROR_HEAD_LONG : HTTP_ERROR_TARGET_LONG;
    }
    return (int)head_len;
}

bool http_line_next(struct span *head, struct span *ret_line)
{
    const char *newline = memchr(head->ptr, '\n', head->len);
    size_t len = newline ? (size_t)(newline - head->ptr) : 0;
    if (len == 0 || head->ptr[len - 1] != '\r')
        return false;
    *ret_line = span_of(head->ptr, len - 1);
    *head = span_skip(*head, len + 1);
    return true;
}

int http_version_parse(struct span text, uint8_t *ret_minor)
{
    struct span prefix = SPAN("HTTP/");
    if (text.len != 8 || memcmp(text.ptr, prefix.ptr, prefix.len) != 0)
        return HTTP_ERROR_VERSION;
    if (!chars_is(text.ptr[5], CHAR_DIGIT) || text.ptr[6] != '.' ||
        !chars_is(text.ptr[7], CHAR_DIGIT))
        return HTTP_ERROR_VERSION;
    if (text.ptr[5] != '1')
        return HTTP_ERROR_VERSION_MAJOR;
    *ret_minor = text.ptr[7] == '0' ? 0 : 1;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span span)
{
    while (span.len > 0 && is_blank(span.ptr[0]))
        span = span_skip(span, 1);
    while (span.len > 0 && is_blank(span.ptr[span.len - 1]))
        span.len--;
    return span;
}

static int field_parse(struct http_field *ret, struct span line)
{
    if (is_blank(line.ptr[0]))
        return HTTP_ERROR_FIELD_FOLDED;
    size_t colon = 0;
    while (colon < line.len && chars_is(line.ptr[colon], CHAR_TOKEN))
        colon++;
    if (colon == 0 || colon == line.len || line.ptr[colon] != ':')
        return HTTP_ERROR_FIELD_NAME;
    for (size_t i = colon + 1; i < line.len; i++)
        if (!chars_is(line.ptr[i], CHAR_VALUE))
            return line.ptr[i] == '\r' ? HTTP_ERROR_LINE_END : HTTP_ERROR_FIELD_VALUE;
    ret->name = span_of(line.ptr, colon);
    ret->value = trim(span_skip(line, colon + 1));
    return 0;
}

/* Takes the next member off a comma-separated list. */
static bool list_next(struct span *list, struct span *ret_member)
{
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
    *ret_member = trim(span_of(list->ptr, len));
    *list = span_skip(*list, comma ? len + 1 : len);
    return true;
}

bool http_list_has(struct span list, struct span token)
{
    struct span member;
    while (list_next(&list, &member))
        if (span_equal_nocase(member, token))
            return true;
    return false;
}

/* What the Connection fields say, all together. */
struct connection {
    bool close;
    bool keep_alive;
    bool upgrade;
};

static void connection_read(struct connection *connection, struct span list)
{
    struct span member;
    while (list_next(&list, &member)) {
        connection->close |= span_equal_nocase(member, SPAN("close"));
        connection->keep_alive |= span_equal_nocase(member, SPAN("keep-alive"));
        connection->upgrade |= span_equal_nocase(member, SPAN("upgrade"));
    }
}

static int content_length_read(struct http_fields *fields, struct span value)
{
    /* Even two that agree are refused: an intermediary may have looked at one only. */
    if (fields->has_content_length || value.len > LENGTH_DIGITS_MAX ||
        !chars_all(value, CHAR_DIGIT))
        return HTTP_ERROR_CONTENT_LENGTH;
    for (size_t i = 0; i < value.len; i++)
        fields->content_length = fields->content_length * 10 + (uint64_t)(value.ptr[i] - '0');
    fields->has_content_length = true;
    return 0;
}

/* What the Transfer-Encoding fields say, all together. */
struct codings {
    unsigned count;
    bool chunked_last;
};

static void transfer_encoding_read(struct codings *codings, struct span list)
{
    bool ends_in_comma = list.len > 0 && list.ptr[list.len - 1] == ',';
    struct span member;
    do {
        if (!list_next(&list, &member))
            member = (struct span){0};
        codings->count++;
        codings->chunked_last = span_equal_nocase(member, SPAN("chunked"));
    } while (list.len > 0);
    if (ends_in_comma) {
        codings->count++;
        codings->chunked_last = false;
    }
}

/* RFC 9112 section 6.3: where chunked is not the last coding, nothing says where the body ends.
 * Where it is, and others are applied before, they are what we do not decode. */
static int framing_check(struct http_fields *fields, const struct codings *codings)
{
    if (codings->count == 0)
        return 0;
    if (fields->has_content_length || fields->minor_version == 0 || !codings->chunked_last)
        return HTTP_ERROR_FRAMING;
    fields->chunked = true;
    return codings->count > 1 ? HTTP_ERROR_TRANSFER_CODING : 0;
}

/* Acts on the fields that say how the message is framed. */
static int field_read(struct http_fields *fields, const struct http_field *field,
                      struct connection *connection, struct codings *codings)
{
    if (span_equal_nocase(field->name, SPAN("content-length")))
        return content_length_read(fields, field->value);
    if (span_equal_nocase(field->name, SPAN("transfer-encoding")))
        transfer_encoding_read(codings, field->value);
    else if (span_equal_nocase(field->name, SPAN("connection")))
        connection_read(connection, field->value);
    return 0;
}

int http_fields_parse(struct http_fields *fields, struct span head)
{
    struct connection connection = {0};
    struct codings codings = {0};
    struct span line;
    fields->content_length = 0;
    fields->has_content_length = false;
    fields->chunked = false;
    for (fields->count = 0;; fields->count++) {
        if (!http_line_next(&head, &line))
            return HTTP_ERROR_LINE_END;
        if (line.len == 0)
            break;
        if (fields->count == HTTP_FIELDS_MAX)
            return HTTP_ERROR_FIELDS_MANY;
        struct http_field *field = &fields->list[fields->count];
        int error = field_parse(field, line);
        if (error == 0)
            error = field_read(fields, field, &connection, &codings);
        if (error != 0)
            return error;
    }
    assert(head.len == 0);
    int error = framing_check(fields, &codings);
    if (error != 0)
        return error;
    /* RFC 9110 section 7.8: Upgrade on HTTP/1.0 is ignored. */
    fields->connection_upgrade = connection.upgrade && fields->minor_version > 0;
    fields->keep_alive = !connection.close && (fields->minor_version > 0 || connection.keep_alive);
    return 0;
}

int http_fields_read(struct http_fields *fields)
{
    struct connection connection = {0};
    struct codings codings = {0};
    fields->content_length = 0;
    fields->has_content_length = fields->chunked = false;
    fields->connection_upgrade = fields->keep_alive = false;
    fields->minor_version = 1;
    for (size_t i = 0; i < fields->count; i++) {
        int error = field_read(fields, &fields->list[i], &connection, &codings);
        if (error != 0)
            return error;
    }
    return codings.count > 0 ? HTTP_ERROR_FRAMING : 0;
}

const struct http_field *http_field_find(const struct http_fields *fields, struct span name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, name))
            return &fields->list[i];
    return NULL;
}

const struct http_field *http_field_single(const struct http_fields *fields, struct span name)
{
    const struct http_field *found = NULL;
    for (size_t i = 0; i < fields->count; i++) {
        if (!span_equal_nocase(fields->list[i].name, name))
            continue;
        if (found)
            return NULL;
        found = &fields->list[i];
    }
    return found;
}
