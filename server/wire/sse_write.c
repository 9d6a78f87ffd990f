#include <assert.h>

#include "wire/digits.h"
#include "wire/sse.h"
#include "wire/sse_lines.h"

/* Takes the next line off the front; `*more` says whether another one follows, perhaps an empty
 * one. */
static struct span line_take(struct span *text, bool *more)
{
    struct span line = span_of(text->ptr, sse_line_len(*text));
    *text = span_skip(*text, line.len);
    *more = text->len > 0;
    if (*more)
        *text = span_skip(*text, sse_break_len(*text));
    return line;
}

static size_t field_size(struct span name, struct span value)
{
    return name.len + 2 + value.len + 1;
}

static char *field_write(char *at, struct span name, struct span value)
{
    memcpy(at, name.ptr, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    if (value.len > 0)
        memcpy(at, value.ptr, value.len);
    at += value.len;
    *at++ = '\n';
    return at;
}

size_t sse_event_size(const struct sse_event *event)
{
    size_t size = 1;
    if (event->id.ptr)
        size += field_size(SPAN("id"), event->id);
    if (event->event.ptr)
        size += field_size(SPAN("event"), event->event);
    if (event->has_retry)
        size += field_size(SPAN("retry"), span_of(NULL, digits_decimal_size(event->retry_ms)));
    struct span data = event->data;
    for (bool more = data.ptr != NULL; more;)
        size += field_size(SPAN("data"), line_take(&data, &more));
    return size;
}

size_t sse_event_write(char *buf, const struct sse_event *event)
{
    char *at = buf;
    if (event->id.ptr) {
        assert(sse_line_len(event->id) == event->id.len);
        at = field_write(at, SPAN("id"), event->id);
    }
    if (event->event.ptr) {
        assert(sse_line_len(event->event) == event->event.len);
        at = field_write(at, SPAN("event"), event->event);
    }
    if (event->has_retry) {
        char digits[DIGITS_DECIMAL_MAX];
        size_t len = digits_decimal_write(digits, event->retry_ms);
        at = field_write(at, SPAN("retry"), span_of(digits, len));
    }
    struct span data = event->data;
    for (bool more = data.ptr != NULL; more;)
        at = field_write(at, SPAN("data"), line_take(&data, &more));
    *at++ = '\n';
    return (size_t)(at - buf);
}

size_t sse_comment_size(struct span comment)
{
    return field_size(SPAN(""), comment) + 1;
}

size_t sse_comment_write(char *buf, struct span comment)
{
    assert(sse_line_len(comment) == comment.len);
    char *at = field_write(buf, SPAN(""), comment);
    *at++ = '\n';
    return (size_t)(at - buf);
}
