#include "courier/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "courier/reach.h"
#include "wire/base64.h"
#include "wire/glob.h"
#include "wire/json_out.h"
#include "wire/json_scan.h"

#define CONCURRENCY 4
#define TIMEOUT_MS  10000

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool endpoint_id_good(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!is_word(id.ptr[i]))
            return false;
    return id.len > 0 && id.len <= ENDPOINT_ID_MAX;
}

const char *endpoint_state_name(enum endpoint_state state)
{
    static const char *const names[] = {"active", "off", "gone"};
    return names[state];
}

/* ---- reading ---- */

struct reading {
    struct endpoint *endpoint;
    const struct reach *reach;
    const struct json_member *member;
};

static bool id_take(struct reading *reading)
{
    const struct span value = reading->member->value;
    if (reading->member->kind != JSON_IS_STRING || !endpoint_id_good(value))
        return false;
    memcpy(reading->endpoint->id, value.ptr, value.len);
    return true;
}

static bool url_take(struct reading *reading)
{
    const struct span value = reading->member->value;
    char *url = calloc(1, value.len + 1);
    free(reading->endpoint->url);
    reading->endpoint->url = url;
    if (!url || reading->member->kind != JSON_IS_STRING)
        return false;
    size_t len = json_string_decode(url, value);
    return !memchr(url, 0, len) && post_url_good(reading->reach, url);
}

static bool patterns_take(struct patterns *ret, const struct json_member *member)
{
    struct json_items items = json_items_begin(member->value);
    struct span item;
    enum json_kind kind;
    free(ret->bytes);
    *ret = (struct patterns){.bytes = calloc(1, member->value.len + 1)};
    char *at = ret->bytes;
    int found = 0;
    while (at && member->kind == JSON_IS_LIST &&
           (found = json_items_next(&items, &item, &kind)) > 0) {
        if (kind != JSON_IS_STRING || ret->count == ENDPOINT_PATTERNS_MAX)
            return false;
        size_t len = json_string_decode(at, item);
        if (len == 0 || len > ENDPOINT_PATTERN_MAX || memchr(at, 0, len) ||
            !glob_valid(span_of(at, len)))
            return false;
        at[len] = '\0';
        at += len + 1;
        ret->count++;
    }
    return at && member->kind == JSON_IS_LIST && found == 0 && ret->count > 0;
}

static bool events_take(struct reading *reading)
{
    return patterns_take(&reading->endpoint->events, reading->member);
}

static bool channels_take(struct reading *reading)
{
    return patterns_take(&reading->endpoint->channels, reading->member);
}

static bool secrets_take(struct reading *reading)
{
    struct endpoint *endpoint = reading->endpoint;
    struct json_items items = json_items_begin(reading->member->value);
    struct span item;
    enum json_kind kind;
    int found = 0;
    endpoint->secret_count = 0;
    if (reading->member->kind != JSON_IS_LIST)
        return false;
    while ((found = json_items_next(&items, &item, &kind)) > 0) {
        char text[WHSEC_TEXT_MAX];
        if (kind != JSON_IS_STRING || endpoint->secret_count == WHSEC_MAX || item.len > sizeof text)
            return false;
        size_t len = json_string_decode(text, item);
        if (!whsec_read(&endpoint->secrets[endpoint->secret_count++], span_of(text, len)))
            return false;
    }
    return found == 0;
}

static bool number_take(const struct json_member *member, uint64_t least, uint64_t most,
                        uint64_t *ret)
{
    return member->kind == JSON_IS_NUMBER && json_number_read(member->value, ret) &&
           *ret >= least && *ret <= most;
}

static bool concurrency_take(struct reading *reading)
{
    uint64_t number = 0;
    bool good = number_take(reading->member, 1, ENDPOINT_CONCURRENCY_MAX, &number);
    reading->endpoint->concurrency = (unsigned)number;
    return good;
}

static bool batch_take(struct reading *reading)
{
    uint64_t number = 0;
    bool good = number_take(reading->member, 1, ENDPOINT_BATCH_MAX, &number);
    reading->endpoint->batch = (unsigned)number;
    return good;
}

static bool batch_delay_take(struct reading *reading)
{
    uint64_t number = 0;
    bool good = number_take(reading->member, 0, ENDPOINT_DELAY_MS_MAX, &number);
    reading->endpoint->batch_delay_ms = (int64_t)number;
    return good;
}

static bool timeout_take(struct reading *reading)
{
    uint64_t number = 0;
    bool good = number_take(reading->member, 100, ENDPOINT_TIMEOUT_MS_MAX, &number);
    reading->endpoint->timeout_ms = (int64_t)number;
    return good;
}

static bool order_take(struct reading *reading)
{
    const struct json_member *member = reading->member;
    reading->endpoint->keyed = json_string_is(member->value, SPAN("channel"));
    return member->kind == JSON_IS_STRING &&
           (reading->endpoint->keyed || json_string_is(member->value, SPAN("none")));
}

static bool enabled_take(struct reading *reading)
{
    const struct json_member *member = reading->member;
    reading->endpoint->state = member->kind == JSON_IS_TRUE ? ENDPOINT_ACTIVE : ENDPOINT_OFF;
    return member->kind == JSON_IS_TRUE || member->kind == JSON_IS_FALSE;
}

static const struct {
    struct span name;
    bool (*take)(struct reading *);
    const char *wanted;
} fields[] = {
    {SPAN_INIT("id"), id_take, "1 to 64 of A-Z a-z 0-9 . _ -"},
    {SPAN_INIT("url"), url_take,
     "http:// or https://, without a user, at a port that courier_ports has"},
    {SPAN_INIT("events"), events_take, "a list of patterns, as channel.*"},
    {SPAN_INIT("channels"), channels_take, "a list of patterns, as news:*"},
    {SPAN_INIT("secrets"), secrets_take,
     "a list of up to 4 of whsec_ and base64 of 24 to 64 bytes"},
    {SPAN_INIT("concurrency"), concurrency_take, "1 to 64"},
    {SPAN_INIT("batch"), batch_take, "1 to 100"},
    {SPAN_INIT("batch_delay_ms"), batch_delay_take, "0 to 60000"},
    {SPAN_INIT("timeout_ms"), timeout_take, "100 to 60000"},
    {SPAN_INIT("order"), order_take, "none or channel"},
    {SPAN_INIT("enabled"), enabled_take, "true or false"},
};
enum {
    FIELDS = sizeof fields / sizeof fields[0],
};

static bool member_take(struct reading *reading, char *why, size_t why_size)
{
    const struct span name = reading->member->name;
    for (size_t i = 0; i < FIELDS; i++) {
        if (!json_string_is(name, fields[i].name))
            continue;
        if (fields[i].take(reading))
            return true;
        snprintf(why, why_size, "%.*s: wanted is %s", (int)name.len, name.ptr, fields[i].wanted);
        return false;
    }
    snprintf(why, why_size, "%.*s: an endpoint has no such member",
             (int)(name.len < 64 ? name.len : 64), name.ptr);
    return false;
}

static bool fill(struct endpoint *endpoint, struct span json, const struct reach *reach, char *why,
                 size_t why_size)
{
    struct json_members members = json_members_begin(json);
    struct json_member member;
    struct reading reading = {.endpoint = endpoint, .reach = reach, .member = &member};
    int found;
    if (json.len > ENDPOINT_TEXT_MAX) {
        snprintf(why, why_size, "an endpoint has at most %d bytes", ENDPOINT_TEXT_MAX);
        return false;
    }
    while ((found = json_members_next(&members, &member)) > 0)
        if (!member_take(&reading, why, why_size))
            return false;
    bool named = endpoint->id[0] != '\0' && endpoint->url;
    endpoint->drawn = found == 0 && named && endpoint->secret_count == 0;
    if (endpoint->drawn)
        endpoint->secret_count = whsec_draw(&endpoint->secrets[0]);
    if (found < 0 || !named || endpoint->secret_count == 0)
        snprintf(why, why_size, "an endpoint is a JSON object with id and url");
    return found == 0 && named && endpoint->secret_count > 0;
}

struct endpoint *endpoint_read(struct span json, const struct reach *reach, char *why,
                               size_t why_size)
{
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (!endpoint) {
        snprintf(why, why_size, "memory is out");
        return NULL;
    }
    endpoint->concurrency = CONCURRENCY;
    endpoint->batch = 1;
    endpoint->timeout_ms = TIMEOUT_MS;
    if (fill(endpoint, json, reach, why, why_size))
        return endpoint;
    endpoint_free(endpoint);
    return NULL;
}

void endpoint_free(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    free(endpoint->url);
    free(endpoint->events.bytes);
    free(endpoint->channels.bytes);
    explicit_bzero(endpoint->secrets, sizeof endpoint->secrets);
    free(endpoint);
}

/* ---- writing ---- */

void json_text_write(FILE *to, struct span text)
{
    char piece[256];
    fputc('"', to);
    while (text.len > 0) {
        size_t len = json_escape(piece, sizeof piece, &text);
        (void)fwrite(piece, 1, len, to);
    }
    fputc('"', to);
}

static void patterns_write(FILE *to, const char *name, const struct patterns *patterns)
{
    const char *at = patterns->bytes;
    if (patterns->count == 0)
        return;
    fprintf(to, ",\"%s\":[", name);
    for (unsigned i = 0; i < patterns->count; i++, at += strlen(at) + 1) {
        if (i > 0)
            fputc(',', to);
        json_text_write(to, span_from(at));
    }
    fputc(']', to);
}

static void secrets_write(FILE *to, const struct endpoint *endpoint)
{
    fputs(",\"secrets\":[", to);
    for (unsigned i = 0; i < endpoint->secret_count; i++) {
        const struct whsec *secret = &endpoint->secrets[i];
        char text[BASE64_SIZE(WHSEC_BYTES_MAX)];
        size_t len = base64_encode(text, span_of((const char *)secret->bytes, secret->len));
        fprintf(to, "%s\"whsec_%.*s\"", i > 0 ? "," : "", (int)len, text);
    }
    fputc(']', to);
}

void endpoint_write(const struct endpoint *endpoint, bool secrets, FILE *to)
{
    fprintf(to, "{\"id\":\"%s\",\"url\":", endpoint->id);
    json_text_write(to, span_from(endpoint->url));
    patterns_write(to, "events", &endpoint->events);
    patterns_write(to, "channels", &endpoint->channels);
    if (secrets)
        secrets_write(to, endpoint);
    fprintf(to,
            ",\"order\":\"%s\",\"concurrency\":%u,\"batch\":%u,\"batch_delay_ms\":%lld,"
            "\"timeout_ms\":%lld,\"enabled\":%s",
            endpoint->keyed ? "channel" : "none", endpoint->concurrency, endpoint->batch,
            (long long)endpoint->batch_delay_ms, (long long)endpoint->timeout_ms,
            endpoint->state == ENDPOINT_OFF ? "false" : "true");
    fputc('}', to);
}

/* ---- asking ---- */

static bool any_matches(const struct patterns *patterns, struct span text)
{
    const char *at = patterns->bytes;
    for (unsigned i = 0; i < patterns->count; i++) {
        struct span pattern = span_from(at);
        if (glob_matches(pattern, text))
            return true;
        at += pattern.len + 1;
    }
    return patterns->count == 0;
}

bool endpoint_wants_type(const struct endpoint *endpoint, struct span type)
{
    return endpoint->state == ENDPOINT_ACTIVE && any_matches(&endpoint->events, type);
}

bool endpoint_wants(const struct endpoint *endpoint, struct span type, struct span channel)
{
    return endpoint_wants_type(endpoint, type) && any_matches(&endpoint->channels, channel);
}
