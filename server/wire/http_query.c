#include "wire/chars.h"
#include "wire/http.h"

void http_query_init(struct http_query *ret, struct span query, char *scratch, size_t scratch_size)
{
    *ret = (struct http_query){.rest = query, .scratch = scratch, .scratch_left = scratch_size};
}

/* Takes the text up to `separator` off the front. */
static struct span split(struct span *rest, char separator)
{
    const char *found = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    size_t len = found ? (size_t)(found - rest->ptr) : rest->len;
    struct span part = span_of(rest->ptr, len);
    *rest = span_skip(*rest, found ? len + 1 : len);
    return part;
}

static bool is_plain(struct span text)
{
    return text.len == 0 || (!memchr(text.ptr, '%', text.len) && !memchr(text.ptr, '+', text.len));
}

/* Decodes into the scratch what has escapes; leaves the rest where it is. */
static int decode(struct http_query *query, struct span text, struct span *ret)
{
    *ret = text;
    if (is_plain(text))
        return 0;
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3)
                return HTTP_ERROR_QUERY;
            int high = chars_hex(text.ptr[i + 1]), low = chars_hex(text.ptr[i + 2]);
            if (high < 0 || low < 0)
                return HTTP_ERROR_QUERY;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (count == query->scratch_left)
            return HTTP_ERROR_QUERY_LONG;
        query->scratch[count++] = c;
    }
    *ret = span_of(query->scratch, count);
    query->scratch += count;
    query->scratch_left -= count;
    return 0;
}

int http_query_next(struct http_query *query, struct span *ret_name, struct span *ret_value)
{
    while (query->rest.len > 0) {
        struct span value = split(&query->rest, '&');
        if (value.len == 0)
            continue;
        struct span name = split(&value, '=');
        int error = decode(query, name, ret_name);
        if (error == 0)
            error = decode(query, value, ret_value);
        return error ? error : 1;
    }
    return 0;
}
