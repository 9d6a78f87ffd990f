#include "transport/mercure_update.h"

#include <assert.h>
#include <string.h>

#include "transport/mercure_subscription.h"
#include "wire/http.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

enum {
    HEAD_BYTES = 8,
    HAS_RETRY = 1,
    HAS_DATA = 2,
};

/* ---- a form ---- */

static bool retry_read(struct mercure_update *update, struct span value)
{
    uint64_t retry_ms;
    update->has_retry = true;
    if (!json_number_read(value, &retry_ms) || retry_ms > UINT32_MAX)
        return false;
    update->retry_ms = (uint32_t)retry_ms;
    return true;
}

/* A line of an event; an id is also the value of a field of HTTP. */
static bool text_read(struct span *field, struct span value)
{
    *field = value;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
            return false;
    return value.len <= MERCURE_TEXT_MAX && utf8_valid(value);
}

static bool topic_add(struct mercure_update *update, struct span topic)
{
    if (update->topic_count == MERCURE_TOPICS_MAX || topic.len == 0 ||
        topic.len > TOPIC_BYTES_MAX || !utf8_valid(topic) || mercure_topic_is_reserved(topic))
        return false;
    update->topics[update->topic_count++] = topic;
    return true;
}

static enum refusal field_read(struct mercure_update *update, struct span name, struct span value)
{
    bool good = true;
    if (span_equal(name, SPAN("topic")))
        return topic_add(update, value) ? REFUSAL_COUNT : REFUSAL_BAD_TOPIC;
    if (span_equal(name, SPAN("data"))) {
        update->data = value;
        good = utf8_valid(value);
    } else if (span_equal(name, SPAN("private"))) {
        update->private = true;
    } else if (span_equal(name, SPAN("retry"))) {
        good = retry_read(update, value);
    } else if (span_equal(name, SPAN("type"))) {
        good = text_read(&update->type, value);
    } else if (span_equal(name, SPAN("id"))) {
        /* Those with a '#' are kept for hubs. */
        good = text_read(&update->id, value) && (value.len == 0 || value.ptr[0] != '#');
    }
    return good ? REFUSAL_COUNT : REFUSAL_BAD_UPDATE;
}

bool mercure_update_read_form(struct mercure_update *ret, struct span form, char *scratch,
                              enum refusal *ret_refusal)
{
    struct http_query walk;
    struct span name, value;
    int found;
    *ret = (struct mercure_update){0};
    http_query_init(&walk, form, scratch, form.len);
    while ((found = http_query_next(&walk, &name, &value)) == 1) {
        *ret_refusal = field_read(ret, name, value);
        if (*ret_refusal != REFUSAL_COUNT)
            return false;
    }
    *ret_refusal = found < 0 ? REFUSAL_BAD_UPDATE : REFUSAL_NO_TOPIC;
    return found == 0 && ret->topic_count > 0;
}

/* ---- a payload ---- */

size_t mercure_update_size(const struct mercure_update *update)
{
    size_t size = HEAD_BYTES + 2 + update->type.len + 2 + update->id.len + update->data.len;
    for (unsigned i = 0; i < update->topic_count; i++)
        size += 2 + update->topics[i].len;
    return size;
}

static char *text_write(char *at, struct span text)
{
    uint16_t len = (uint16_t)text.len;
    assert(text.len <= UINT16_MAX);
    memcpy(at, &len, sizeof len);
    if (len > 0)
        memcpy(at + sizeof len, text.ptr, len);
    return at + sizeof len + len;
}

void mercure_update_write(char *buf, const struct mercure_update *update)
{
    buf[0] = (char)update->private;
    buf[1] = (char)update->topic_count;
    buf[2] = (char)((update->has_retry ? HAS_RETRY : 0) | (update->data.ptr ? HAS_DATA : 0));
    buf[3] = 0;
    memcpy(buf + 4, &update->retry_ms, 4);
    char *at = buf + HEAD_BYTES;
    for (unsigned i = 0; i < update->topic_count; i++)
        at = text_write(at, update->topics[i]);
    at = text_write(at, update->type);
    at = text_write(at, update->id);
    if (update->data.ptr)
        memcpy(at, update->data.ptr, update->data.len);
}

static struct span text_take(struct span *rest)
{
    uint16_t len;
    assert(rest->len >= sizeof len);
    memcpy(&len, rest->ptr, sizeof len);
    assert(rest->len >= sizeof len + len);
    struct span text = {rest->ptr + sizeof len, len};
    *rest = span_skip(*rest, sizeof len + len);
    return text;
}

void mercure_update_read(struct mercure_update *ret, struct span payload)
{
    assert(payload.len >= HEAD_BYTES && payload.ptr[1] <= MERCURE_TOPICS_MAX);
    *ret = (struct mercure_update){
        .private = payload.ptr[0],
        .topic_count = (unsigned char)payload.ptr[1],
        .has_retry = payload.ptr[2] & HAS_RETRY,
    };
    memcpy(&ret->retry_ms, payload.ptr + 4, 4);
    struct span rest = span_skip(payload, HEAD_BYTES);
    for (unsigned i = 0; i < ret->topic_count; i++)
        ret->topics[i] = text_take(&rest);
    ret->type = text_take(&rest);
    ret->id = text_take(&rest);
    if (payload.ptr[2] & HAS_DATA)
        ret->data = rest;
}

struct sse_event mercure_update_event(const struct mercure_update *update, struct span id)
{
    struct sse_event event = {.id = update->id.len > 0 ? update->id : id,
                              .has_retry = update->has_retry,
                              .retry_ms = update->retry_ms,
                              .data = update->data.ptr ? update->data : SPAN("")};
    if (update->type.len > 0)
        event.event = update->type;
    return event;
}

/* ---- selectors ---- */

bool mercure_selectors_add(struct mercure_selectors *selectors, struct span selector)
{
    if (selectors->count == MERCURE_SELECTORS_MAX || selector.len == 0 ||
        selector.len > TOPIC_BYTES_MAX ||
        selector.len > (size_t)(MERCURE_SELECTORS_BYTES - selectors->bytes))
        return false;
    memcpy(selectors->text + selectors->bytes, selector.ptr, selector.len);
    selectors->len[selectors->count++] = (uint16_t)selector.len;
    selectors->bytes += (uint16_t)selector.len;
    return true;
}

bool mercure_selectors_match(const struct mercure_selectors *selectors, struct span topic)
{
    const char *at = selectors->text;
    for (unsigned i = 0; i < selectors->count; at += selectors->len[i++])
        if (topic_matches(span_of(at, selectors->len[i]), topic))
            return true;
    return false;
}

bool mercure_selectors_add_json(struct mercure_selectors *selectors, struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    while (json_items_next(&items, &item, &kind) > 0) {
        char text[TOPIC_BYTES_MAX * 6];
        if (kind != JSON_IS_STRING)
            continue;
        if (item.len > sizeof text ||
            !mercure_selectors_add(selectors, span_of(text, json_string_decode(text, item))))
            return false;
    }
    return true;
}

bool mercure_claim_list(struct span claim, struct span name, struct span *ret)
{
    struct json_members members = json_members_begin(claim);
    struct json_member member;
    bool found = false;
    while (claim.len > 0 && json_members_next(&members, &member) > 0)
        if (json_string_is(member.name, name) && member.kind == JSON_IS_LIST) {
            *ret = member.value;
            found = true;
        }
    return found;
}

/* That of a string has its quotes. */
bool mercure_claim_payload(struct span claim, struct span *ret)
{
    struct json_members members = json_members_begin(claim);
    struct json_member member;
    bool found = false;
    while (claim.len > 0 && json_members_next(&members, &member) > 0)
        if (json_string_is(member.name, SPAN("payload"))) {
            *ret = member.value;
            if (member.kind == JSON_IS_STRING)
                *ret = span_of(member.value.ptr - 1, member.value.len + 2);
            found = true;
        }
    return found;
}

bool mercure_update_is_for(const struct mercure_update *update,
                           const struct mercure_selectors *asked,
                           const struct mercure_selectors *allowed)
{
    bool wanted = false, may = !update->private;
    /* What a token allows comes first: anybody may ask for what is dear to look for. */
    for (unsigned i = 0; i < update->topic_count && !may; i++)
        may = mercure_selectors_match(allowed, update->topics[i]);
    for (unsigned i = 0; i < update->topic_count && may && !wanted; i++)
        wanted = mercure_selectors_match(asked, update->topics[i]);
    return wanted;
}
