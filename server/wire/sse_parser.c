/* The client's end of an event stream.
 *
 * A block is what stands between two empty lines. It is read in place if it lies whole in the
 * input; otherwise its lines are collected in the buffer first:
 *
 *     buf  [ lines of the block ......... | free ......... ]       held
 *     buf  [ data, joined .... | free .... | event | id ]          data of several lines
 *
 * Keep-alive comments between blocks are skipped without being collected. */
#include <assert.h>

#include "wire/chars.h"
#include "wire/sse.h"
#include "wire/sse_lines.h"

enum {
    MID_LINE = 1, /* in a line of the block */
    SKIP_LF = 2,  /* a CR has ended the line before: an LF now belongs to it */
    COMMENT = 4,  /* in a comment line before the block */
    STARTED = 8,  /* past where a byte order mark may stand */
};

bool sse_parser_idle(const struct sse_parser *parser)
{
    return parser->held == 0;
}

/* Takes one byte of what comes between blocks. False: the byte begins a block. */
static bool gap_step(struct sse_parser *parser, char c)
{
    bool skip_lf = parser->flags & SKIP_LF;
    parser->flags &= (uint8_t)~SKIP_LF;
    if (skip_lf && c == '\n')
        return true;
    if (c == ':')
        parser->flags |= COMMENT;
    else if (sse_is_break(c))
        parser->flags &= (uint8_t)~COMMENT;
    else if (!(parser->flags & COMMENT))
        return false;
    if (c == '\r')
        parser->flags |= SKIP_LF;
    parser->flags |= STARTED;
    return true;
}

/* Returns how much of the input belongs to the block; `*ret_complete` says whether an empty line
 * follows there. */
static size_t block_scan(struct sse_parser *parser, struct span input, bool *ret_complete)
{
    unsigned flags = parser->flags;
    size_t len = 0;
    *ret_complete = false;
    while (len < input.len) {
        bool skip = (flags & SKIP_LF) && input.ptr[len] == '\n';
        size_t line_len = sse_line_len(span_skip(input, len));
        flags &= ~(unsigned)SKIP_LF;
        if (skip) {
            len++;
        } else if (line_len > 0) {
            flags |= MID_LINE;
            len += line_len;
        } else if (flags & MID_LINE) {
            flags &= ~(unsigned)MID_LINE;
            flags |= input.ptr[len++] == '\r' ? SKIP_LF : 0;
        } else {
            *ret_complete = true;
            break;
        }
    }
    parser->flags = (uint8_t)flags;
    return len;
}

/* Splits "name: value"; without a colon all of it is the name. */
static struct span field_split(struct span line, struct span *ret_value)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct span name = span_of(line.ptr, colon ? (size_t)(colon - line.ptr) : line.len);
    *ret_value = span_skip(line, colon ? name.len + 1 : name.len);
    if (ret_value->len > 0 && ret_value->ptr[0] == ' ')
        *ret_value = span_skip(*ret_value, 1);
    return name;
}

static bool line_next(struct span *block, struct span *ret_line)
{
    if (block->len == 0)
        return false;
    *ret_line = span_of(block->ptr, sse_line_len(*block));
    *block = span_skip(*block, ret_line->len);
    if (block->len > 0)
        *block = span_skip(*block, sse_break_len(*block));
    return true;
}

static void retry_read(struct sse_event *event, struct span value)
{
    uint32_t retry_ms = 0;
    if (!chars_all(value, CHAR_DIGIT))
        return;
    for (size_t i = 0; i < value.len; i++)
        if (__builtin_mul_overflow(retry_ms, 10, &retry_ms) ||
            __builtin_add_overflow(retry_ms, (unsigned)(value.ptr[i] - '0'), &retry_ms))
            return;
    event->has_retry = true;
    event->retry_ms = retry_ms;
}

/* Fills everything in but further data lines. Returns the number of data lines. */
static size_t block_read(struct span block, struct sse_event *ret)
{
    size_t data_lines = 0;
    struct span line, value;
    *ret = (struct sse_event){0};
    while (line_next(&block, &line)) {
        struct span name = field_split(line, &value);
        if (span_equal(name, SPAN("data"))) {
            if (data_lines++ == 0)
                ret->data = value;
        } else if (span_equal(name, SPAN("id"))) {
            if (value.len == 0 || !memchr(value.ptr, '\0', value.len))
                ret->id = value;
        } else if (span_equal(name, SPAN("event"))) {
            ret->event = value;
        } else if (span_equal(name, SPAN("retry"))) {
            retry_read(ret, value);
        }
    }
    return data_lines;
}

/* Moves a string to the end of the buffer, where joining the data does not reach it. */
static void string_move(struct span *string, char **end)
{
    if (!string->ptr)
        return;
    *end -= string->len;
    memcpy(*end, string->ptr, string->len);
    string->ptr = *end;
}

/* Joins the data lines at the start of the buffer. The block may lie there too: a line's prefix is
 * longer than the LF that replaces it, so the writing never overtakes the reading. */
static bool data_join(struct span block, char *buf, size_t size, struct sse_event *event)
{
    if (block.len + event->id.len + event->event.len > size)
        return false;
    char *end = buf + size, *at = buf;
    string_move(&event->id, &end);
    string_move(&event->event, &end);
    struct span line, value;
    for (bool first = true; line_next(&block, &line);) {
        if (!span_equal(field_split(line, &value), SPAN("data")))
            continue;
        if (!first)
            *at++ = '\n';
        first = false;
        memmove(at, value.ptr, value.len);
        at += value.len;
    }
    event->data = span_of(buf, (size_t)(at - buf));
    return true;
}

static struct span mark_strip(struct sse_parser *parser, struct span block)
{
    struct span mark = SPAN("\xEF\xBB\xBF");
    bool first = !(parser->flags & STARTED);
    parser->flags |= STARTED;
    bool marked = block.len >= mark.len && memcmp(block.ptr, mark.ptr, mark.len) == 0;
    return first && marked ? span_skip(block, mark.len) : block;
}

enum sse_result sse_parser_next(struct sse_parser *parser, struct span *input, char *buf,
                                size_t size, struct sse_event *ret)
{
    assert(size <= UINT32_MAX && parser->held <= size);
    while (input->len > 0) {
        if (parser->held == 0 && gap_step(parser, input->ptr[0])) {
            *input = span_skip(*input, 1);
            continue;
        }
        bool complete;
        struct span block = span_of(input->ptr, block_scan(parser, *input, &complete));
        *input = span_skip(*input, block.len);
        if (block.len > size - parser->held)
            return SSE_TOO_LONG;
        if (parser->held > 0 || !complete) {
            memcpy(buf + parser->held, block.ptr, block.len);
            parser->held += (uint32_t)block.len;
            block = span_of(buf, parser->held);
        }
        if (!complete)
            break;
        /* The empty line itself is left for gap_step. */
        parser->held = 0;
        size_t data_lines = block_read(mark_strip(parser, block), ret);
        if (data_lines > 1 && !data_join(mark_strip(parser, block), buf, size, ret))
            return SSE_TOO_LONG;
        if (data_lines > 0 || ret->id.ptr || ret->has_retry)
            return SSE_EVENT;
    }
    return SSE_MORE;
}
