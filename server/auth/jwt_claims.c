/* jwt_claims: what a token says, by a table of the claims that count. */
#include "auth/jwt_internal.h"

#include <assert.h>
#include <string.h>

#include "wire/json_scan.h"

enum claim_kind {
    CLAIM_TEXT, /* a string */
    CLAIM_TIME, /* seconds since 1970 */
    CLAIM_JSON, /* any value, as it stands */
    CLAIM_LIST,
    CLAIM_OBJECT,
    CLAIM_AUDIENCE, /* a string or a list of them */
};

/* The claims while they are read, with what only the rules look at. */
struct reading {
    struct jwt_claims claims;
    struct span iss;
    struct span aud;
    bool aud_is_list;
    int64_t nbf_s;
    int64_t expire_at_s;
    bool ends_apart; /* expire_at is there */
    uint32_t seen;   /* a bit for each row */
    char *spare;
    size_t spare_len;
};

static const struct claim {
    struct span name;
    enum claim_kind kind;
    size_t at;
} table[] = {
#define CLAIM(name, kind, field)                                                                   \
    {                                                                                              \
        SPAN_INIT(name), kind, offsetof(struct reading, field)                                     \
    }
    CLAIM("sub", CLAIM_TEXT, claims.sub),
    CLAIM("jti", CLAIM_TEXT, claims.jti),
    CLAIM("channel", CLAIM_TEXT, claims.channel),
    CLAIM("of", CLAIM_TEXT, claims.of),
    CLAIM("client", CLAIM_TEXT, claims.client),
    CLAIM("b64info", CLAIM_TEXT, claims.b64info),
    CLAIM("iss", CLAIM_TEXT, iss),
    CLAIM("info", CLAIM_JSON, claims.info),
    CLAIM("meta", CLAIM_JSON, claims.meta),
    CLAIM("channels", CLAIM_LIST, claims.channels),
    CLAIM("subs", CLAIM_OBJECT, claims.subs),
    CLAIM("override", CLAIM_OBJECT, claims.override),
    CLAIM("mercure", CLAIM_OBJECT, claims.mercure),
    CLAIM("exp", CLAIM_TIME, claims.exp_s),
    CLAIM("iat", CLAIM_TIME, claims.iat_s),
    CLAIM("nbf", CLAIM_TIME, nbf_s),
    CLAIM("expire_at", CLAIM_TIME, expire_at_s),
    CLAIM("aud", CLAIM_AUDIENCE, aud),
#undef CLAIM
};
enum {
    CLAIMS = sizeof table / sizeof table[0],
};
#define TIME_MAX_S UINT64_C(253402300799) /* the end of the year 9999 */

/* What the string stands for, in the spare room if it has escapes. */
static struct span text_read(struct reading *reading, struct span string)
{
    if (!json_string_escaped(string))
        return string;
    struct span text = {reading->spare, json_string_decode(reading->spare, string)};
    reading->spare += text.len;
    reading->spare_len -= text.len;
    return text;
}

/* NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction, which is left out. */
static bool time_read(struct span number, int64_t *ret)
{
    const char *point = memchr(number.ptr, '.', number.len);
    bool plain = !memchr(number.ptr, 'e', number.len) && !memchr(number.ptr, 'E', number.len);
    uint64_t seconds;
    if (point)
        number.len = (size_t)(point - number.ptr);
    if (!plain || !json_number_read(number, &seconds) || seconds > TIME_MAX_S)
        return false;
    *ret = (int64_t)seconds;
    return true;
}

static bool text_take(struct reading *reading, const struct json_member *member, struct span *field)
{
    if (member->kind != JSON_IS_STRING)
        return false;
    *field = text_read(reading, member->value);
    return true;
}

static bool audience_take(struct reading *reading, const struct json_member *member)
{
    reading->aud = member->value;
    reading->aud_is_list = member->kind == JSON_IS_LIST;
    return member->kind == JSON_IS_STRING || reading->aud_is_list;
}

/* The value as JSON: a string with its quotes. */
static struct span raw(const struct json_member *member)
{
    bool quoted = member->kind == JSON_IS_STRING;
    return span_of(member->value.ptr - quoted, member->value.len + 2 * (size_t)quoted);
}

static bool claim_take(struct reading *reading, const struct claim *claim,
                       const struct json_member *member)
{
    void *field = (char *)reading + claim->at;
    switch (claim->kind) {
    case CLAIM_TEXT:
        return text_take(reading, member, field);
    case CLAIM_TIME:
        return member->kind == JSON_IS_NUMBER && time_read(member->value, field);
    case CLAIM_JSON:
        *(struct span *)field = raw(member);
        return true;
    case CLAIM_LIST:
        *(struct span *)field = member->value;
        return member->kind == JSON_IS_LIST;
    case CLAIM_OBJECT:
        *(struct span *)field = member->value;
        return member->kind == JSON_IS_OBJECT;
    case CLAIM_AUDIENCE:
        return audience_take(reading, member);
    }
    return false;
}

/* Returns false when the claim is of the wrong kind, or has come before (RFC 7519 section 4). */
static bool member_take(struct reading *reading, const struct json_member *member)
{
    for (unsigned i = 0; i < CLAIMS; i++) {
        if (!json_string_is(member->name, table[i].name))
            continue;
        bool again = reading->seen >> i & 1;
        reading->seen |= 1U << i;
        reading->ends_apart |= span_equal(table[i].name, SPAN("expire_at"));
        /* Libraries write claims that were not set as null. */
        return !again && (member->kind == JSON_IS_NULL || claim_take(reading, &table[i], member));
    }
    return true;
}

static bool audience_fits(const struct reading *reading, struct span own)
{
    if (!reading->aud_is_list)
        return json_string_is(reading->aud, own);
    struct json_items items = json_items_begin(reading->aud);
    struct span item;
    enum json_kind kind;
    while (json_items_next(&items, &item, &kind) > 0)
        if (kind == JSON_IS_STRING && json_string_is(item, own))
            return true;
    return false;
}

static int rules_check(const struct reading *reading, const struct jwt_rules *rules)
{
    const struct jwt_claims *claims = &reading->claims;
    bool has_audience = reading->aud.ptr != NULL;
    if (claims->exp_s > 0 && rules->now_s >= claims->exp_s + rules->leeway_s)
        return JWT_ERROR_EXPIRED;
    if (reading->nbf_s > rules->now_s + rules->leeway_s)
        return JWT_ERROR_NOT_YET;
    if (has_audience || rules->audience.len > 0)
        if (!has_audience || !audience_fits(reading, rules->audience))
            return JWT_ERROR_AUDIENCE;
    if (rules->issuer.len > 0 && !span_equal(reading->iss, rules->issuer))
        return JWT_ERROR_ISSUER;
    return 0;
}

int jwt_claims_read(struct jwt_claims *ret, struct span payload, const struct jwt_rules *rules,
                    char *spare, size_t spare_len)
{
    struct reading reading = {.spare = spare, .spare_len = spare_len};
    assert(spare_len >= payload.len);
    struct json_members members = json_members_begin(payload);
    struct json_member member;
    int found;
    while ((found = json_members_next(&members, &member)) > 0)
        if (!member_take(&reading, &member))
            return JWT_ERROR_CLAIMS;
    if (found < 0)
        return JWT_ERROR_MALFORMED;
    int err = rules_check(&reading, rules);
    if (err < 0)
        return err;
    *ret = reading.claims;
    ret->ends_s = reading.ends_apart ? reading.expire_at_s : ret->exp_s;
    return 0;
}

static bool list_has(struct span list, struct span text)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    while (json_items_next(&items, &item, &kind) > 0)
        if (kind == JSON_IS_STRING && json_string_is(item, text))
            return true;
    return false;
}

static bool object_has(struct span object, struct span name)
{
    struct json_members members = json_members_begin(object);
    struct json_member member;
    while (json_members_next(&members, &member) > 0)
        if (json_string_is(member.name, name))
            return true;
    return false;
}

bool jwt_gives_channel(const struct jwt_claims *claims, struct span channel)
{
    return (claims->channel.len > 0 && span_equal(claims->channel, channel)) ||
           (claims->channels.len > 0 && list_has(claims->channels, channel)) ||
           (claims->subs.len > 0 && object_has(claims->subs, channel));
}
