#include "abuse/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct out {
    char *buf;
    size_t size, len;
    bool full;
};

static void put(struct out *out, struct span bytes)
{
    if (bytes.len >= out->size - out->len) {
        out->full = true;
        return;
    }
    memcpy(out->buf + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
}

static void put_byte(struct out *out, unsigned byte)
{
    char c = (char)byte;
    put(out, span_of(&c, 1));
}

/* ---- escapes ---- */

/* What follows the backslash; returns how many bytes of it, or 0. */
static size_t escape(struct out *out, struct span rest)
{
    static const char letters[] = "\\nrt", bytes[] = "\\\n\r\t";
    char digits[3] = {0};
    char *end;
    const char *at = rest.len > 0 && rest.ptr[0] ? strchr(letters, rest.ptr[0]) : NULL;
    if (at) {
        put_byte(out, (unsigned char)bytes[at - letters]);
        return 1;
    }
    if (rest.len < 3 || rest.ptr[0] != 'x')
        return 0;
    memcpy(digits, rest.ptr + 1, 2);
    unsigned long value = strtoul(digits, &end, 16);
    if (end != digits + 2 || !isxdigit((unsigned char)digits[0]))
        return 0;
    put_byte(out, (unsigned)value);
    return 3;
}

/* ---- places ---- */

/* Returns whether there is such a place. */
static bool place(struct out *out, struct span name, const struct text_value *values)
{
    for (const struct text_value *row = values; row->name; row++) {
        if (!span_equal(name, span_from(row->name)))
            continue;
        put(out, span_from(row->value));
        return true;
    }
    return false;
}

/* "@NAME@" at the front of `rest`: the name, or an empty span. */
static struct span place_name(struct span rest)
{
    size_t len = 1;
    while (len < rest.len && len <= TEXT_NAME_MAX &&
           (isalnum((unsigned char)rest.ptr[len]) || strchr("_", rest.ptr[len])))
        len++;
    return len > 1 && len < rest.len && rest.ptr[len] == '@' ? span_of(rest.ptr + 1, len - 1)
                                                             : (struct span){0};
}

/* Fills in what stands at the front of `rest`. Returns how many bytes of it, or -EINVAL. */
static int fill_place(struct out *out, struct span rest, const struct text_value *values, char *why,
                      size_t why_size)
{
    struct span name = place_name(rest);
    if (rest.len > 1 && rest.ptr[1] == '@') {
        put_byte(out, '@');
        return 2;
    }
    if (name.len > 0 && place(out, name, values))
        return (int)name.len + 2;
    snprintf(why, why_size, "there is nothing to fill in for %.*s here; @@ is the sign itself",
             name.len > 0 ? (int)name.len + 2 : 1, rest.ptr);
    return -EINVAL;
}

int text_fill(struct span text, const struct text_value *values, char *buf, size_t size, char *why,
              size_t why_size)
{
    struct out out = {.buf = buf, .size = size};
    while (text.len > 0 && !out.full) {
        int taken = 1;
        if (*text.ptr == '@') {
            taken = fill_place(&out, text, values, why, why_size);
            if (taken < 0)
                return taken;
        } else if (*text.ptr == '\\') {
            taken = 1 + (int)escape(&out, span_skip(text, 1));
            if (taken == 1) {
                snprintf(why, why_size, "there are the escapes \\\\ \\n \\r \\t and \\xNN");
                return -EINVAL;
            }
        } else {
            put(&out, span_of(text.ptr, 1));
        }
        text = span_skip(text, (size_t)taken);
    }
    if (out.full) {
        snprintf(why, why_size, "it is longer than %zu bytes", size - 1);
        return -ENOSPC;
    }
    buf[out.len] = '\0';
    return (int)out.len;
}
