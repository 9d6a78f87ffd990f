#include "wire/forwarded.h"

#include <stdbool.h>

#include "wire/address.h"
#include "wire/chars.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trimmed(struct span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = span_skip(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Cuts off what stands behind the last of a character that is not quoted; without one, everything.
 * An escape in a quoted string reads as two strings side by side, in which nothing is cut either.
 * Returns false where a quotation mark has no other. */
static bool cut_last(struct span *text, char at, struct span *ret)
{
    size_t begin = text->len;
    bool quoted = false;
    for (; begin > 0 && (quoted || text->ptr[begin - 1] != at); begin--)
        quoted ^= text->ptr[begin - 1] == '"';
    *ret = trimmed(span_skip(*text, begin));
    text->len = begin > 0 ? begin - 1 : 0;
    return !quoted;
}

/* A port, or the word that stands for one that is not told (RFC 7239 section 6.2). */
static bool is_port(struct span text)
{
    bool hidden = text.len > 1 && text.ptr[0] == '_';
    for (size_t i = 1; i < text.len && hidden; i++)
        hidden = chars_is(text.ptr[i], CHAR_TOKEN);
    return hidden || address_port(text);
}

/* "[address]", and a port. */
static bool bracketed_read(struct in6_addr *ret, struct span text)
{
    struct span rest = span_skip(text, 1);
    const char *end = memchr(rest.ptr, ']', rest.len);
    if (!end)
        return false;
    struct span inside = {rest.ptr, (size_t)(end - rest.ptr)};
    struct span behind = span_skip(rest, inside.len + 1);
    if (!memchr(inside.ptr, ':', inside.len) ||
        (behind.len > 0 && (behind.ptr[0] != ':' || !is_port(span_skip(behind, 1)))))
        return false;
    return address_read(ret, inside);
}

/* An address with or without a port. `bare`: IPv6 may stand without brackets, and then has none. */
static bool node_read(struct in6_addr *ret, struct span text, bool bare)
{
    if (text.len == 0)
        return false;
    if (text.ptr[0] == '[')
        return bracketed_read(ret, text);
    const char *colon = memchr(text.ptr, ':', text.len);
    if (!colon)
        return address_read(ret, text);
    struct span before = {text.ptr, (size_t)(colon - text.ptr)};
    struct span behind = span_skip(text, before.len + 1);
    if (memchr(behind.ptr, ':', behind.len) || before.len == 0)
        return bare && address_read(ret, text);
    return is_port(behind) && address_read(ret, before);
}

/* A value without its quotation marks. Escapes are none of an address, and make it none. */
static struct span unquoted(struct span value)
{
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        return span_of(value.ptr + 1, value.len - 2);
    return value;
}

/* The parameter `for` of an element; an element with none, or two, says nothing. */
static bool element_read(struct in6_addr *ret, struct span element)
{
    bool found = false;
    while (element.len > 0) {
        struct span pair;
        if (!cut_last(&element, ';', &pair))
            return false;
        if (pair.len < 4 || !span_equal_nocase(span_of(pair.ptr, 4), SPAN("for=")))
            continue;
        if (found || !node_read(ret, unquoted(span_skip(pair, 4)), false))
            return false;
        found = true;
    }
    return found;
}

int forwarded_last(struct span *value, enum forwarded_form form, struct in6_addr *ret)
{
    struct in6_addr address;
    while (value->len > 0) {
        struct span element;
        if (!cut_last(value, ',', &element))
            return -1;
        if (element.len == 0)
            continue;
        bool read = form == FORWARDED_FOR ? node_read(&address, element, true)
                                          : element_read(&address, element);
        if (!read)
            return -1;
        *ret = address;
        return 1;
    }
    return 0;
}
