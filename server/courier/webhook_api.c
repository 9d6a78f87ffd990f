/* webhook_api: what servers and the operator ask about webhooks: JSON in, JSON out. */
#include "courier/webhooks_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"
#include "core/message.h"
#include "wire/json_scan.h"

enum {
    WHY_MAX = 512,
    TYPE_MAX = 64,
    LIMIT = 100,
    LIMIT_MAX = 1000,
    ID_ROOM = 128,
};

/* Codes of errors: those of the server API where they are the same. */
enum {
    ERROR_INTERNAL = 100,
    ERROR_BAD_REQUEST = 107,
    ERROR_UNKNOWN = 1001, /* there is no such endpoint or dead letter */
    ERROR_FULL = 1002,    /* the queue, or webhook_endpoints_max */
};

/* What a request may have. */
struct request {
    struct span type, channel, data, id, endpoint, event, after;
    uint64_t limit;
};

static void error_write(FILE *to, int code, const char *message)
{
    fprintf(to, "{\"error\":{\"code\":%d,\"message\":", code);
    json_text_write(to, span_from(message));
    fputs("}}", to);
}

static void failure_write(FILE *to, int err)
{
    if (err == -ENOSPC)
        error_write(to, ERROR_FULL, "queue full: webhook_queue_bytes_max, or the disk");
    else if (err == -ENOBUFS)
        error_write(to, ERROR_FULL, "too many endpoints: webhook_endpoints_max");
    else
        error_write(to, ERROR_INTERNAL, "the queue is not written");
}

static bool text_of(struct span *ret, const struct json_member *member)
{
    *ret = member->value;
    return member->kind == JSON_IS_STRING && !json_string_escaped(member->value);
}

static bool member_take(struct request *request, const struct json_member *member)
{
    const struct {
        struct span name;
        struct span *at;
    } texts[] = {
        {SPAN("type"), &request->type},
        {SPAN("channel"), &request->channel},
        {SPAN("id"), &request->id},
        {SPAN("event"), &request->event},
        {SPAN("endpoint"), &request->endpoint},
        {SPAN("after"), &request->after},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (json_string_is(member->name, texts[i].name))
            return text_of(texts[i].at, member);
    if (json_string_is(member->name, SPAN("limit")))
        return member->kind == JSON_IS_NUMBER && json_number_read(member->value, &request->limit) &&
               request->limit >= 1 && request->limit <= LIMIT_MAX;
    if (!json_string_is(member->name, SPAN("data")))
        return false;
    request->data = member->value;
    if (member->kind == JSON_IS_STRING)
        request->data = span_of(member->value.ptr - 1, member->value.len + 2);
    return true;
}

static bool request_read(struct request *ret, struct span text)
{
    struct json_members members = json_members_begin(text);
    struct json_member member;
    int found = 0;
    *ret = (struct request){.limit = LIMIT};
    while (text.len > 0 && (found = json_members_next(&members, &member)) > 0)
        if (!member_take(ret, &member))
            return false;
    return found == 0;
}

/* ---- events ---- */

static bool begins_with(struct span text, const char *with)
{
    return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

static bool channel_good(struct span channel)
{
    static const char others[] = "-_.:/@#,";
    for (size_t i = 0; i < channel.len; i++) {
        char c = span_lower(channel.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr(others, c))))
            return false;
    }
    return channel.len <= CHANNEL_NAME_MAX;
}

/* Types of this server's own events are its own. */
static bool type_good(struct span type)
{
    return type.len <= TYPE_MAX && endpoint_id_good(type) && !begins_with(type, "client.") &&
           !begins_with(type, "channel.");
}

static void publish(struct webhooks *webhooks, const struct request *request, FILE *to)
{
    const struct webhook_event event = {
        .type = request->type,
        .channel = request->channel,
        .data = request->data.len > 0 ? request->data : SPAN("null"),
    };
    char id[QUEUE_ID_MAX];
    if (!type_good(event.type) || !channel_good(event.channel)) {
        error_write(to, ERROR_BAD_REQUEST, "type or channel is none");
        return;
    }
    int wanted = webhooks_accept(webhooks, &event, id);
    if (wanted < 0)
        failure_write(to, wanted);
    else
        fprintf(to, "{\"result\":{\"id\":\"%s\",\"endpoints\":%d}}", id, wanted);
}

/* ---- endpoints ---- */

static void register_one(struct webhooks *webhooks, struct span text, FILE *to)
{
    char why[WHY_MAX];
    struct endpoint *endpoint = endpoint_read(text, webhooks->reach, why, sizeof why);
    if (!endpoint) {
        error_write(to, ERROR_BAD_REQUEST, why);
        return;
    }
    int err = webhooks_register(webhooks, endpoint);
    if (err < 0) {
        endpoint_free(endpoint);
        failure_write(to, err);
        return;
    }
    fputs("{\"result\":", to);
    endpoint_write(endpoint, true, to);
    fputs("}", to);
}

static void remove_one(struct webhooks *webhooks, const struct request *request, FILE *to)
{
    struct endpoint *endpoint = webhooks_endpoint(webhooks, request->id);
    if (!endpoint) {
        error_write(to, ERROR_UNKNOWN, "there is no such endpoint");
        return;
    }
    int err = webhooks_remove(webhooks, endpoint);
    if (err < 0)
        failure_write(to, err);
    else
        fputs("{\"result\":{}}", to);
}

static void list(struct webhooks *webhooks, const struct request *request, FILE *to)
{
    char after[ENDPOINT_ID_MAX + 1] = "";
    struct endpoint *endpoint, *next;
    unsigned count = 0;
    if (request->after.len < sizeof after && request->after.len > 0)
        memcpy(after, request->after.ptr, request->after.len);
    webhooks_sort(webhooks);
    fputs("{\"result\":{\"endpoints\":[", to);
    HASH_ITER (hh, webhooks->by_id, endpoint, next) {
        if (strcmp(endpoint->id, after) <= 0)
            continue;
        if (count++ == request->limit)
            break;
        fprintf(to,
                "%s{\"state\":\"%s\",\"failures\":%u,\"under_way\":%u,\"secrets\":%u,"
                "\"endpoint\":",
                count > 1 ? "," : "", endpoint_state_name(endpoint->state), endpoint->failures,
                endpoint->under_way, endpoint->secret_count);
        endpoint_write(endpoint, false, to);
        fputs("}", to);
    }
    fprintf(to, "],\"total\":%u}}", HASH_CNT(hh, webhooks->by_id));
}

/* ---- dead letters ---- */

struct telling {
    struct webhooks *webhooks;
    FILE *to;
    bool bodies;
    unsigned count;
};

static void dead_told(void *context, const struct queue_dead *dead)
{
    struct telling *telling = context;
    char id[QUEUE_ID_MAX];
    const struct endpoint *endpoint = webhooks_numbered(telling->webhooks, dead->endpoint);
    int len = (int)queue_id_write(telling->webhooks->queue, dead->seq, id);
    fprintf(telling->to,
            "%s{\"event\":\"%.*s\",\"endpoint\":\"%s\",\"why\":\"%.*s\",\"attempts\":%u,"
            "\"age_s\":%lld",
            telling->count++ > 0 ? "," : "", len, id, endpoint ? endpoint->id : "",
            (int)dead->why.len, dead->why.ptr, dead->attempt, (long long)dead->age_ms / 1000);
    if (telling->bodies)
        fprintf(telling->to, ",\"body\":%.*s", (int)dead->body.len, dead->body.ptr);
    fputs("}", telling->to);
}

/* Returns false when there is no such endpoint or event. */
static bool which_read(struct webhooks *webhooks, const struct request *request,
                       struct queue_which *ret)
{
    *ret = (struct queue_which){.limit = (unsigned)request->limit};
    if (request->endpoint.len > 0) {
        const struct endpoint *endpoint = webhooks_endpoint(webhooks, request->endpoint);
        if (!endpoint)
            return false;
        ret->endpoint = endpoint->number;
    }
    return (request->event.len == 0 || queue_id_read(webhooks->queue, request->event, &ret->seq)) &&
           (request->after.len == 0 || queue_id_read(webhooks->queue, request->after, &ret->after));
}

static void dead_list(struct webhooks *webhooks, const struct queue_which *which, bool bodies,
                      FILE *to)
{
    struct telling telling = {.webhooks = webhooks, .to = to, .bodies = bodies};
    struct queue_stats stats;
    queue_stats_read(webhooks->queue, &stats);
    fputs("{\"result\":{\"dead\":[", to);
    queue_dead_list(webhooks->queue, which, webhooks->now_ms, dead_told, &telling);
    fprintf(to, "],\"total\":%lld}}", (long long)stats.dead);
}

static void replay(struct webhooks *webhooks, const struct queue_which *which, FILE *to)
{
    int count = queue_dead_replay(webhooks->queue, which, webhooks->now_ms);
    struct endpoint *endpoint, *next;
    if (count < 0) {
        failure_write(to, count);
        return;
    }
    webhooks->turn.replayed += (unsigned)count;
    HASH_ITER (hh, webhooks->by_id, endpoint, next)
        if (which->endpoint == 0 || which->endpoint == endpoint->number)
            webhooks_rest_until(webhooks, endpoint);
    fprintf(to, "{\"result\":{\"replayed\":%d}}", count);
}

static void purge(struct webhooks *webhooks, const struct queue_which *which, FILE *to)
{
    int count = queue_dead_purge(webhooks->queue, which);
    if (count < 0)
        failure_write(to, count);
    else
        fprintf(to, "{\"result\":{\"purged\":%d}}", count);
}

/* ---- all ---- */

static void answer(struct webhooks *webhooks, struct webhook_ask *ask, FILE *to)
{
    const struct span text = span_of(ask->text, ask->len);
    struct request request;
    struct queue_which which = {0};
    if (ask->op == WEBHOOK_REGISTER) {
        register_one(webhooks, text, to);
        return;
    }
    if (!request_read(&request, text)) {
        error_write(to, ERROR_BAD_REQUEST, "bad request");
        return;
    }
    bool of_dead = ask->op == WEBHOOK_DEAD || ask->op == WEBHOOK_SHOW ||
                   ask->op == WEBHOOK_REPLAY || ask->op == WEBHOOK_PURGE;
    if (of_dead)
        webhooks_commit(webhooks); /* so that those that have just died are there */
    if (of_dead && !which_read(webhooks, &request, &which)) {
        error_write(to, ERROR_UNKNOWN, "there is no such endpoint or event");
        return;
    }
    ask->changes =
        ask->op == WEBHOOK_PUBLISH || ask->op == WEBHOOK_REPLAY || ask->op == WEBHOOK_PURGE;
    switch (ask->op) {
    case WEBHOOK_PUBLISH:
        publish(webhooks, &request, to);
        break;
    case WEBHOOK_REMOVE:
        remove_one(webhooks, &request, to);
        break;
    case WEBHOOK_LIST:
        list(webhooks, &request, to);
        break;
    case WEBHOOK_DEAD:
    case WEBHOOK_SHOW:
        dead_list(webhooks, &which, ask->op == WEBHOOK_SHOW, to);
        break;
    case WEBHOOK_REPLAY:
        replay(webhooks, &which, to);
        break;
    case WEBHOOK_PURGE:
        purge(webhooks, &which, to);
        break;
    case WEBHOOK_REGISTER:
    case WEBHOOK_OP_COUNT:
        break;
    }
}

void webhook_api(struct webhooks *webhooks, struct webhook_ask *ask)
{
    FILE *to = open_memstream(&ask->answer, &ask->answer_len);
    if (!to)
        return;
    answer(webhooks, ask, to);
    fclose(to);
}
