#include "load/json_scan.h"

enum state {
    OUTSIDE,
    STRING,
    ESCAPE, /* behind a backslash in a string */
};

static enum json_found key_of(const struct json_scan *scan)
{
    struct span key = {scan->held, scan->held_len};
    if (span_equal(key, SPAN("data")))
        return JSON_DATA;
    if (span_equal(key, SPAN("position")))
        return JSON_POSITION;
    if (span_equal(key, SPAN("recovered")))
        return JSON_RECOVERED;
    return JSON_NOTHING;
}

static void hold(struct json_scan *scan, const char *bytes, size_t len)
{
    size_t room = JSON_HELD_MAX - scan->held_len;
    size_t count = len < room ? len : room;
    memcpy(scan->held + scan->held_len, bytes, count);
    scan->held_len = (uint8_t)(scan->held_len + count);
    if (scan->key == JSON_DATA)
        payload_take(&scan->data, span_of(bytes, len));
}

/* Takes plain bytes of a string, then perhaps the byte that ends them. Returns true at its end. */
static bool string_take(struct json_scan *scan, struct span *input)
{
    const char *quote = memchr(input->ptr, '"', input->len);
    size_t len = quote ? (size_t)(quote - input->ptr) : input->len;
    const char *escape = memchr(input->ptr, '\\', len);
    if (escape) {
        hold(scan, input->ptr, (size_t)(escape - input->ptr) + 1);
        *input = span_skip(*input, (size_t)(escape - input->ptr) + 1);
        scan->state = ESCAPE;
        return false;
    }
    hold(scan, input->ptr, len);
    *input = span_skip(*input, quote ? len + 1 : len);
    if (!quote)
        return false;
    scan->state = OUTSIDE;
    return true;
}

/* Takes one byte between strings. */
static enum json_found outside_take(struct json_scan *scan, char c)
{
    switch (c) {
    case '"':
        scan->state = STRING;
        scan->held_len = 0;
        if (scan->key == JSON_DATA)
            scan->data = (struct payload){0};
        break;
    case ':':
        scan->key = (uint8_t)key_of(scan);
        break;
    case ',':
    case '{':
    case '[':
        scan->key = JSON_NOTHING;
        break;
    case 't':
    case 'f':
        if (scan->key != JSON_RECOVERED)
            break;
        scan->recovered = c == 't';
        scan->key = JSON_NOTHING;
        return JSON_RECOVERED;
    default:
        break;
    }
    return JSON_NOTHING;
}

enum json_found json_scan_next(struct json_scan *scan, struct span *input)
{
    while (input->len > 0) {
        enum json_found found = JSON_NOTHING;
        switch ((enum state)scan->state) {
        case OUTSIDE:
            found = outside_take(scan, *input->ptr);
            *input = span_skip(*input, 1);
            break;
        case ESCAPE:
            hold(scan, input->ptr, 1);
            *input = span_skip(*input, 1);
            scan->state = STRING;
            break;
        case STRING:
            if (!string_take(scan, input))
                break;
            if (scan->key == JSON_DATA || scan->key == JSON_POSITION)
                found = (enum json_found)scan->key;
            break;
        }
        if (found != JSON_NOTHING) {
            scan->key = JSON_NOTHING;
            return found;
        }
    }
    return JSON_NOTHING;
}
