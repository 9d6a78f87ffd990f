#include "wire/json_out.h"

#include <stdint.h>

/* How long a byte becomes; 0 stands for 1. */
static const uint8_t escaped_size[256] = {
    [0x00 ... 0x07] = 6, ['\b'] = 2, ['\t'] = 2,          ['\n'] = 2, [0x0B] = 6,
    ['\f'] = 2,          ['\r'] = 2, [0x0E ... 0x1F] = 6, ['"'] = 2,  ['\\'] = 2,
};

size_t json_string_size(struct span text)
{
    size_t size = text.len + 2;
    for (size_t i = 0; i < text.len; i++) {
        size_t escaped = escaped_size[(uint8_t)text.ptr[i]];
        size += escaped ? escaped - 1 : 0;
    }
    return size;
}

static char short_escape(char c)
{
    switch (c) {
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c;
    }
}

static size_t escape_write(char *buf, char c)
{
    if (escaped_size[(uint8_t)c] == 2) {
        buf[0] = '\\';
        buf[1] = short_escape(c);
        return 2;
    }
    struct span prefix = SPAN("\\u00");
    memcpy(buf, prefix.ptr, prefix.len);
    buf[4] = (char)('0' + (c >> 4));
    buf[5] = "0123456789abcdef"[c & 15];
    return 6;
}

/* How many bytes at the front are written as they are. */
static size_t plain_run(const char *from, size_t most)
{
    size_t run = 0;
    while (run < most && !escaped_size[(uint8_t)from[run]])
        run++;
    return run;
}

size_t json_escape(char *buf, size_t room, struct span *text)
{
    struct span left = *text;
    size_t at = 0;
    while (left.len > 0) {
        size_t escaped = escaped_size[(uint8_t)*left.ptr], run = 1;
        if (room - at < (escaped ? escaped : 1))
            break;
        if (escaped) {
            at += escape_write(buf + at, *left.ptr);
        } else {
            run = plain_run(left.ptr, left.len < room - at ? left.len : room - at);
            memcpy(buf + at, left.ptr, run);
            at += run;
        }
        left = span_of(left.ptr + run, left.len - run);
    }
    *text = left;
    return at;
}

size_t json_string_write(char *buf, struct span text)
{
    size_t len = 1;
    buf[0] = '"';
    len += json_escape(buf + len, text.len * JSON_ESCAPE_MAX, &text);
    buf[len] = '"';
    return len + 1;
}
