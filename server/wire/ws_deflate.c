#include "wire/ws_deflate.h"

#include <assert.h>

#include "wire/chars.h"
#include "wire/out.h"
#include "wire/ws.h"

enum {
    VALUE_MAX = 2, /* characters of a value that RFC 7692 knows: 8 to 15 */
    WINDOW_BITS_MIN = 8,
    WINDOW_BITS_MAX = 15,
};

/* What is left of one field. */
struct cursor {
    const char *at;
    const char *end;
};

static bool at_end(const struct cursor *cursor)
{
    return cursor->at == cursor->end;
}

static void skip_space(struct cursor *cursor)
{
    while (!at_end(cursor) && (*cursor->at == ' ' || *cursor->at == '\t'))
        cursor->at++;
}

/* Takes one character, with the space around it. Returns whether it was there. */
static bool take(struct cursor *cursor, char c)
{
    skip_space(cursor);
    if (at_end(cursor) || *cursor->at != c)
        return false;
    cursor->at++;
    skip_space(cursor);
    return true;
}

/* Returns false when there is none. */
static bool take_token(struct cursor *cursor, struct span *ret)
{
    const char *start = cursor->at;
    while (!at_end(cursor) && chars_is(*cursor->at, CHAR_TOKEN))
        cursor->at++;
    *ret = span_of(start, (size_t)(cursor->at - start));
    return ret->len > 0;
}

struct value {
    bool given;
    size_t len;
    char bytes[VALUE_MAX]; /* the first ones */
};

static void value_add(struct value *value, char c)
{
    if (value->len < VALUE_MAX)
        value->bytes[value->len] = c;
    value->len++;
}

/* A quoted string, whose content must be a token. */
static bool take_quoted(struct cursor *cursor, struct value *value)
{
    for (cursor->at++; !at_end(cursor) && *cursor->at != '"'; cursor->at++) {
        if (*cursor->at == '\\' && ++cursor->at == cursor->end)
            return false;
        if (!chars_is(*cursor->at, CHAR_TOKEN))
            return false;
        value_add(value, *cursor->at);
    }
    if (at_end(cursor))
        return false;
    cursor->at++;
    return value->len > 0;
}

/* Returns false when what follows `=` is no value. */
static bool take_value(struct cursor *cursor, struct value *ret)
{
    struct span token;
    *ret = (struct value){.given = take(cursor, '=')};
    if (!ret->given)
        return true;
    if (!at_end(cursor) && *cursor->at == '"')
        return take_quoted(cursor, ret);
    if (!take_token(cursor, &token))
        return false;
    for (size_t i = 0; i < token.len; i++)
        value_add(ret, token.ptr[i]);
    return true;
}

/* 8 to 15, without a leading zero; else 0. */
static unsigned window_bits_of(const struct value *value)
{
    unsigned bits = 0;
    if (value->len == 0 || value->len > VALUE_MAX || value->bytes[0] == '0')
        return 0;
    for (size_t i = 0; i < value->len; i++) {
        if (!chars_is(value->bytes[i], CHAR_DIGIT))
            return 0;
        bits = bits * 10 + (unsigned)(value->bytes[i] - '0');
    }
    return bits >= WINDOW_BITS_MIN && bits <= WINDOW_BITS_MAX ? bits : 0;
}

enum param {
    SERVER_NO_CONTEXT = 1,
    CLIENT_NO_CONTEXT = 2,
    SERVER_WINDOW = 4,
    CLIENT_WINDOW = 8,
};

/* Which parameter that is, or 0: none that RFC 7692 has. */
static unsigned param_of(struct span name)
{
    static const struct {
        struct span name;
        enum param param;
    } table[] = {
        {SPAN_INIT("server_no_context_takeover"), SERVER_NO_CONTEXT},
        {SPAN_INIT("client_no_context_takeover"), CLIENT_NO_CONTEXT},
        {SPAN_INIT("server_max_window_bits"), SERVER_WINDOW},
        {SPAN_INIT("client_max_window_bits"), CLIENT_WINDOW},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (span_equal_nocase(name, table[i].name))
            return table[i].param;
    return 0;
}

/* Whether a parameter is one that the server can go by. */
static bool param_good(unsigned param, const struct value *value, unsigned window_bits)
{
    switch (param) {
    case SERVER_NO_CONTEXT:
    case CLIENT_NO_CONTEXT:
        return !value->given;
    case SERVER_WINDOW:
        return window_bits_of(value) >= window_bits;
    case CLIENT_WINDOW:
        return !value->given || window_bits_of(value) > 0;
    default:
        return false;
    }
}

/* Takes one extension with its parameters. Returns WS_HANDSHAKE_EXTENSION when it is none. */
static int take_offer(struct cursor *cursor, unsigned window_bits)
{
    struct span name, param_name;
    struct value value;
    unsigned seen = 0;
    bool good = true;
    if (!take_token(cursor, &name))
        return WS_HANDSHAKE_EXTENSION;
    while (take(cursor, ';')) {
        if (!take_token(cursor, &param_name) || !take_value(cursor, &value))
            return WS_HANDSHAKE_EXTENSION;
        unsigned param = param_of(param_name);
        good &= !(seen & param) && param_good(param, &value, window_bits);
        seen |= param;
    }
    if (!span_equal_nocase(name, SPAN("permessage-deflate")))
        return WS_DEFLATE_NONE;
    return good ? WS_DEFLATE_ACCEPTED : WS_DEFLATE_DECLINED;
}

/* Members of a list may be empty (RFC 9110 section 5.6.1.2). */
static int judge_field(struct span field, unsigned window_bits)
{
    struct cursor cursor = {field.ptr, field.ptr + field.len};
    int best = WS_DEFLATE_NONE;
    skip_space(&cursor);
    while (!at_end(&cursor)) {
        if (take(&cursor, ','))
            continue;
        int offer = take_offer(&cursor, window_bits);
        if (offer < 0)
            return offer;
        best = offer > best ? offer : best;
        if (!take(&cursor, ',') && !at_end(&cursor))
            return WS_HANDSHAKE_EXTENSION;
    }
    return best;
}

int ws_deflate_judge(const struct http_fields *fields, unsigned window_bits)
{
    assert(window_bits >= WINDOW_BITS_MIN && window_bits <= WINDOW_BITS_MAX);
    int best = WS_DEFLATE_NONE;
    for (size_t i = 0; i < fields->count; i++) {
        if (!span_equal_nocase(fields->list[i].name, SPAN("sec-websocket-extensions")))
            continue;
        int field = judge_field(fields->list[i].value, window_bits);
        if (field < 0)
            return field;
        best = field > best ? field : best;
    }
    return best;
}

size_t ws_deflate_field_write(char buf[WS_DEFLATE_FIELD_MAX], unsigned window_bits)
{
    struct out out = out_begin(buf, WS_DEFLATE_FIELD_MAX);
    out_text(&out, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                   "client_no_context_takeover; server_max_window_bits=");
    out_decimal(&out, window_bits);
    out_text(&out, "\r\n");
    assert(!out.overflow);
    return (size_t)(out.at - out.start);
}
