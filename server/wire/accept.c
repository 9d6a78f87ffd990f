#include "wire/accept.h"

#include "wire/chars.h"

enum verdict {
    UNSAID,
    REFUSED,
    TAKEN,
};

static struct span trim(struct span span)
{
    while (span.len > 0 && (span.ptr[0] == ' ' || span.ptr[0] == '\t'))
        span = span_skip(span, 1);
    while (span.len > 0 && (span.ptr[span.len - 1] == ' ' || span.ptr[span.len - 1] == '\t'))
        span.len--;
    return span;
}

/* Takes what stands before the character, and the character off. */
static struct span take_until(struct span *rest, char c)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, c, rest->len) : NULL;
    struct span part = span_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = span_skip(*rest, end ? part.len + 1 : part.len);
    return trim(part);
}

/* `q=` and 0 to 1 with at most three decimals (section 12.4.2). */
static enum verdict weigh(struct span weight)
{
    if (weight.len < 3 || weight.len > 7 || span_lower(weight.ptr[0]) != 'q' ||
        weight.ptr[1] != '=')
        return REFUSED;
    struct span value = span_skip(weight, 2);
    bool some = false;
    for (size_t i = 0; i < value.len; i++) {
        if (i == 1 ? value.ptr[i] != '.' : !chars_is(value.ptr[i], CHAR_DIGIT))
            return REFUSED;
        some |= value.ptr[i] >= '1' && value.ptr[i] <= '9';
    }
    return some && value.ptr[0] <= '1' ? TAKEN : REFUSED;
}

static enum verdict judge(struct span member, struct span coding)
{
    struct span name = take_until(&member, ';');
    if (!span_equal_nocase(name, coding))
        return UNSAID;
    return member.len == 0 ? TAKEN : weigh(trim(member));
}

bool accept_coding(const struct http_fields *fields, struct span coding)
{
    enum verdict named = UNSAID, any = UNSAID;
    for (size_t i = 0; i < fields->count; i++) {
        struct span rest = fields->list[i].value;
        if (!span_equal_nocase(fields->list[i].name, SPAN("accept-encoding")))
            continue;
        while (rest.len > 0) {
            struct span member = take_until(&rest, ',');
            enum verdict said = judge(member, coding);
            named = said > named ? said : named;
            said = judge(member, SPAN("*"));
            any = said > any ? said : any;
        }
    }
    return (named != UNSAID ? named : any) == TAKEN;
}
