#include "wire/json_scan.h"

#include <assert.h>
#include <string.h>

#include "wire/utf8.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next character, or 0: which is none that JSON has outside of strings. */
static char peek(struct span text)
{
    return text.len > 0 ? text.ptr[0] : '\0';
}

static void skip_space(struct span *text)
{
    for (char c = peek(*text); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(*text))
        *text = span_skip(*text, 1);
}

/* Takes this character, if it is next. */
static bool take(struct span *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = span_skip(*text, 1);
    return true;
}

/* ---- strings ---- */

/* The number behind \u, or -1. */
static int unit_read(struct span text)
{
    int unit = 0;
    if (text.len < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex(text.ptr[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Reads an escape, behind its backslash, and takes it. Returns the character, or -1. */
static int32_t escape_read(struct span *text)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (text->len == 0)
        return -1;
    char c = text->ptr[0];
    *text = span_skip(*text, 1);
    for (size_t i = 0; c != 'u' && i + 1 < sizeof escapes; i += 2)
        if (escapes[i] == c)
            return escapes[i + 1];
    int high = c == 'u' ? unit_read(*text) : -1;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return -1;
    *text = span_skip(*text, 4);
    if (high < 0xd800 || high > 0xdbff)
        return high;
    /* A character beyond the first 65,536 is a pair. */
    if (text->len < 6 || text->ptr[0] != '\\' || text->ptr[1] != 'u')
        return -1;
    int low = unit_read(span_skip(*text, 2));
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    *text = span_skip(*text, 6);
    return 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
}

/* Takes a string with its quotes. Returns false when it is none. */
static bool string_take(struct span *text, struct span *ret)
{
    if (!take(text, '"'))
        return false;
    struct span rest = *text;
    for (;;) {
        if (rest.len == 0 || (uint8_t)rest.ptr[0] < 0x20)
            return false;
        char c = rest.ptr[0];
        if (c == '"')
            break;
        rest = span_skip(rest, 1);
        if (c == '\\' && escape_read(&rest) < 0)
            return false;
    }
    *ret = span_of(text->ptr, text->len - rest.len);
    *text = span_skip(rest, 1);
    return utf8_valid(*ret);
}

/* Returns how many bytes it has in UTF-8. */
static size_t character_write(char *buf, uint32_t c)
{
    if (c < 0x80) {
        buf[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        buf[i] = (char)(0x80 | (c & 0x3f));
    buf[0] = (char)((0xf00U >> len & 0xff & ~(0xffU >> len)) | c);
    return len;
}

/* Takes a piece of a string: up to an escape, or one escape, written to `buf`. */
static struct span piece_take(struct span *string, char buf[4])
{
    const char *escape = memchr(string->ptr, '\\', string->len);
    struct span piece = {string->ptr, escape ? (size_t)(escape - string->ptr) : string->len};
    *string = span_skip(*string, piece.len);
    if (piece.len > 0)
        return piece;
    *string = span_skip(*string, 1);
    int32_t c = escape_read(string);
    return span_of(buf, character_write(buf, (uint32_t)c));
}

bool json_string_escaped(struct span string)
{
    return string.len > 0 && memchr(string.ptr, '\\', string.len);
}

bool json_string_is(struct span string, struct span bytes)
{
    char buf[4];
    while (string.len > 0) {
        struct span piece = piece_take(&string, buf);
        if (piece.len > bytes.len || memcmp(piece.ptr, bytes.ptr, piece.len) != 0)
            return false;
        bytes = span_skip(bytes, piece.len);
    }
    return bytes.len == 0;
}

size_t json_string_decode(char *area, struct span string)
{
    char *out = area, buf[4];
    while (string.len > 0) {
        struct span piece = piece_take(&string, buf);
        memcpy(out, piece.ptr, piece.len);
        out += piece.len;
    }
    return (size_t)(out - area);
}

/* ---- numbers ---- */

static bool digits_take(struct span *text)
{
    size_t count = 0;
    while (count < text->len && is_digit(text->ptr[count]))
        count++;
    *text = span_skip(*text, count);
    return count > 0;
}

static bool number_take(struct span *text)
{
    take(text, '-');
    if (!take(text, '0') && !digits_take(text))
        return false;
    if (take(text, '.') && !digits_take(text))
        return false;
    if (!take(text, 'e') && !take(text, 'E'))
        return true;
    if (!take(text, '+'))
        take(text, '-');
    return digits_take(text);
}

bool json_number_read(struct span number, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < number.len; i++) {
        uint64_t digit = (uint64_t)(number.ptr[i] - '0');
        if (!is_digit(number.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret = value;
    return number.len > 0;
}

/* ---- values ---- */

static bool word_take(struct span *text, struct span word)
{
    bool is = text->len >= word.len && memcmp(text->ptr, word.ptr, word.len) == 0;
    if (is)
        *text = span_skip(*text, word.len);
    return is;
}

/* A value that has no others inside. */
static bool plain_take(struct span *text, enum json_kind *ret)
{
    struct span string;
    switch (peek(*text)) {
    case '"':
        *ret = JSON_IS_STRING;
        return string_take(text, &string);
    case 't':
        *ret = JSON_IS_TRUE;
        return word_take(text, SPAN("true"));
    case 'f':
        *ret = JSON_IS_FALSE;
        return word_take(text, SPAN("false"));
    case 'n':
        *ret = JSON_IS_NULL;
        return word_take(text, SPAN("null"));
    default:
        *ret = JSON_IS_NUMBER;
        return number_take(text);
    }
}

static bool name_take(struct span *text, struct span *ret)
{
    skip_space(text);
    if (!string_take(text, ret))
        return false;
    skip_space(text);
    bool has_colon = take(text, ':');
    skip_space(text);
    return has_colon;
}

/* Where a walk through a value is: a bit for each object or list that it is inside of. */
struct nest {
    uint32_t objects; /* 1: an object, 0: a list; the innermost is the lowest bit */
    unsigned depth;
};
static_assert(JSON_DEPTH_MAX <= 32, "a bit for each");

/* What opens, and the name of its first member. Returns 1 when it is empty, 0 when not. */
static int nest_open(struct nest *nest, struct span *text)
{
    struct span name;
    bool object = take(text, '{');
    if (!object)
        take(text, '[');
    if (nest->depth + 1 == JSON_DEPTH_MAX)
        return JSON_TOO_DEEP;
    nest->objects = nest->objects << 1 | object;
    nest->depth++;
    skip_space(text);
    if (peek(*text) == (object ? '}' : ']'))
        return 1;
    return object && !name_take(text, &name) ? JSON_INVALID : 0;
}

/* What follows a value: a comma and another one, or the end of what is around it, and so on.
 * Returns 0, also when all that was open is closed, or JSON_INVALID. */
static int nest_go_on(struct nest *nest, struct span *text)
{
    struct span name;
    while (nest->depth > 0) {
        bool object = nest->objects & 1;
        skip_space(text);
        if (take(text, ',')) {
            skip_space(text);
            return object && !name_take(text, &name) ? JSON_INVALID : 0;
        }
        if (!take(text, object ? '}' : ']'))
            return JSON_INVALID;
        nest->objects >>= 1;
        nest->depth--;
    }
    return 0;
}

/* Takes a value with all that is inside. Returns 0 or an error. */
static int value_take(struct span *text, enum json_kind *ret)
{
    struct nest nest = {0};
    char first = peek(*text);
    enum json_kind plain = JSON_IS_NULL;
    do {
        char c = peek(*text);
        int err = 0;
        if (c == '{' || c == '[')
            err = nest_open(&nest, text);
        else if (!plain_take(text, &plain))
            err = JSON_INVALID;
        if (err < 0)
            return err;
        bool has_value = err == 1 || (c != '{' && c != '[');
        if (has_value && nest_go_on(&nest, text) < 0)
            return JSON_INVALID;
    } while (nest.depth > 0);
    *ret = first == '{' ? JSON_IS_OBJECT : first == '[' ? JSON_IS_LIST : plain;
    return 0;
}

bool json_valid(struct span text)
{
    enum json_kind kind;
    skip_space(&text);
    if (value_take(&text, &kind) < 0)
        return false;
    skip_space(&text);
    return text.len == 0;
}

/* ---- members ---- */

struct json_members json_members_begin(struct span text)
{
    return (struct json_members){.rest = text};
}

/* Returns 0 when nothing follows, or JSON_INVALID. */
static int end(struct span *rest, bool *ended)
{
    skip_space(rest);
    *ended = true;
    return rest->len == 0 ? 0 : JSON_INVALID;
}

/* Takes a value as it is handed out: a string without its quotes. Returns 0 or an error. */
static int value_read(struct span *rest, struct span *ret, enum json_kind *ret_kind)
{
    struct span from = *rest;
    int err = value_take(rest, ret_kind);
    if (err < 0)
        return err;
    *ret = span_of(from.ptr, from.len - rest->len);
    if (*ret_kind == JSON_IS_STRING)
        *ret = span_of(from.ptr + 1, ret->len - 2);
    return 0;
}

int json_members_next(struct json_members *members, struct json_member *ret)
{
    struct span *rest = &members->rest;
    if (members->ended)
        return 0;
    skip_space(rest);
    if (members->begun ? take(rest, '}') : !take(rest, '{'))
        return members->begun ? end(rest, &members->ended) : JSON_INVALID;
    skip_space(rest);
    if (!members->begun && take(rest, '}'))
        return end(rest, &members->ended);
    if (members->begun && !take(rest, ','))
        return JSON_INVALID;
    members->begun = true;
    if (!name_take(rest, &ret->name))
        return JSON_INVALID;
    int err = value_read(rest, &ret->value, &ret->kind);
    return err < 0 ? err : 1;
}

struct json_items json_items_begin(struct span text)
{
    return (struct json_items){.rest = text};
}

int json_items_next(struct json_items *items, struct span *ret, enum json_kind *ret_kind)
{
    struct span *rest = &items->rest;
    if (items->ended)
        return 0;
    skip_space(rest);
    if (items->begun ? take(rest, ']') : !take(rest, '['))
        return items->begun ? end(rest, &items->ended) : JSON_INVALID;
    skip_space(rest);
    if (!items->begun && take(rest, ']'))
        return end(rest, &items->ended);
    if (items->begun && !take(rest, ','))
        return JSON_INVALID;
    items->begun = true;
    skip_space(rest);
    int err = value_read(rest, ret, ret_kind);
    return err < 0 ? err : 1;
}
