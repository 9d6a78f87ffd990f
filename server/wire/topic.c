#include "wire/topic.h"

#include <string.h>

#include "wire/chars.h"

/* The places of a topic that can be reached: `at[i]`, before its byte i. */
struct places {
    struct span topic;
    bool at[TOPIC_MATCH_MAX + 1];
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* What a value may expand to, RFC 6570 section 3.2.1: unreserved, or percent-encoded, and what
 * stands between several values. */
static bool may_stand(char c, char sign)
{
    if (is_alnum(c) || memchr("-._~%,", c, 6))
        return true;
    if (sign == '/')
        return c == '/';
    return (sign == '+' || sign == '#') && c > ' ' && c < 0x7f && !memchr("\"<>\\^`{|}", c, 9);
}

static void literal(struct places *places, struct span text)
{
    size_t len = places->topic.len;
    for (size_t end = len + 1; end-- > 0;)
        places->at[end] = end >= text.len && places->at[end - text.len] &&
                          memcmp(places->topic.ptr + end - text.len, text.ptr, text.len) == 0;
}

/* Nothing, where its values are not there; else what the sign puts first, and values. */
static void expression(struct places *places, char sign)
{
    bool first = sign == '#' || sign == '.' || sign == '/';
    bool inside = false;
    for (size_t i = 0; i < places->topic.len; i++) {
        char c = places->topic.ptr[i];
        bool begins = places->at[i] && (first ? c == sign : may_stand(c, sign));
        inside = (inside && may_stand(c, sign)) || begins;
        places->at[i + 1] |= inside;
    }
}

static bool is_name(char c)
{
    return is_alnum(c) || memchr("_.%,*:", c, 6);
}

/* Reads {+name,name:3} off the front. Returns its sign, ' ' if it has none, or 0. */
static char expression_take(struct span *rest)
{
    const char *end = memchr(rest->ptr, '}', rest->len);
    if (!end)
        return 0;
    struct span inner = {rest->ptr + 1, (size_t)(end - rest->ptr) - 1};
    *rest = span_skip(*rest, inner.len + 2);
    char sign = inner.len > 0 && memchr("+#./", inner.ptr[0], 4) ? inner.ptr[0] : ' ';
    if (sign != ' ')
        inner = span_skip(inner, 1);
    for (size_t i = 0; i < inner.len; i++)
        if (!is_name(inner.ptr[i]))
            return 0;
    return inner.len > 0 ? sign : 0;
}

static bool template_matches(struct span template, struct span topic)
{
    struct places places;
    places.topic = topic;
    places.at[0] = true;
    memset(places.at + 1, 0, topic.len);
    for (unsigned parts = 0; template.len > 0; parts++) {
        const char *brace = memchr(template.ptr, '{', template.len);
        struct span text = {template.ptr, brace ? (size_t)(brace - template.ptr) : template.len};
        if (memchr(text.ptr, '}', text.len))
            return false;
        literal(&places, text);
        template = span_skip(template, text.len);
        if (template.len == 0)
            break;
        char sign = expression_take(&template);
        if (!sign || parts == TOPIC_EXPRESSIONS_MAX)
            return false;
        expression(&places, sign);
    }
    return places.at[topic.len];
}

bool topic_matches(struct span selector, struct span topic)
{
    if (span_equal(selector, SPAN("*")) || span_equal(selector, topic))
        return true;
    return selector.len <= TOPIC_BYTES_MAX && topic.len <= TOPIC_MATCH_MAX &&
           memchr(selector.ptr, '{', selector.len) && template_matches(selector, topic);
}
