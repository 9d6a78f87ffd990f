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
    MS_PER_S = 1000,
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
    struct span type, channel, data, id, endpoint, event, after, after_endpoint;
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
        {SPAN("after_endpoint"), &request->after_endpoint},
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

static void register_one(struct webhooks *webhooks, struct webhook_ask *ask, FILE *to)
{
    struct span text = span_of(ask->text, ask->len);
    char why[WHY_MAX];
    struct endpoint *endpoint = endpoint_read(text, webhooks->reach, why, sizeof why);
    if (!endpoint) {
        error_write(to, ERROR_BAD_REQUEST, why);
        return;
    }
    int err = webhooks_register(webhooks, endpoint, ask);
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

/* What a list is written with: endpoints, or dead letters. */
struct telling {
    struct webhooks *webhooks;
    FILE *to;
    bool bodies;
    unsigned count;
};

static void failure_told(FILE *to, const struct endpoint *endpoint, int64_t now_ms)
{
    int status = endpoint->last_failure.status;
    if (endpoint->last_failure.at_ms == 0)
        return;
    fprintf(to, ",\"last_failure\":{\"why\":\"%s\"",
            status > 0 ? "status" : post_end_name(endpoint->last_failure.end));
    if (status > 0)
        fprintf(to, ",\"status\":%d", status);
    fprintf(to, ",\"age_s\":%lld}", (long long)(now_ms - endpoint->last_failure.at_ms) / MS_PER_S);
}

static void endpoint_told(void *context, int64_t number)
{
    struct telling *telling = context;
    struct webhooks *webhooks = telling->webhooks;
    const struct endpoint *endpoint = webhooks_numbered(webhooks, number);
    unsigned waiting = 0, dead = 0;
    if (!endpoint)
        return; /* memory was out when it was registered */
    queue_endpoint_count(webhooks->queue, number, &waiting, &dead);
    fprintf(telling->to,
            "%s{\"state\":\"%s\",\"breaker\":\"%s\",\"failures\":%u,\"under_way\":%u,"
            "\"waiting\":%u,\"dead\":%u,\"secrets\":%u",
            telling->count++ > 0 ? "," : "", endpoint_state_name(endpoint->state),
            endpoint->is_open ? "open" : "closed", endpoint->failures, endpoint->under_way, waiting,
            dead, endpoint->secret_count);
    failure_told(telling->to, endpoint, webhooks->now_ms);
    fputs(",\"endpoint\":", telling->to);
    endpoint_write(endpoint, false, telling->to);
    fputs("}", telling->to);
}

static void list(struct webhooks *webhooks, const struct request *request, FILE *to)
{
    struct telling telling = {.webhooks = webhooks, .to = to};
    fputs("{\"result\":{\"endpoints\":[", to);
    queue_endpoints_after(webhooks->queue, request->after, (unsigned)request->limit, endpoint_told,
                          &telling);
    fprintf(to, "],\"total\":%u}}", HASH_CNT(hh, webhooks->by_id));
}

/* ---- dead letters ---- */

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

/* Returns false when there is no such endpoint. */
static bool number_of(struct webhooks *webhooks, struct span id, int64_t *ret)
{
    const struct endpoint *endpoint = webhooks_endpoint(webhooks, id);
    if (endpoint)
        *ret = endpoint->number;
    return endpoint != NULL;
}

/* Returns false when there is no such endpoint or event. */
static bool which_read(struct webhooks *webhooks, const struct request *request,
                       struct queue_which *ret)
{
    const struct queue *queue = webhooks->queue;
    *ret = (struct queue_which){.limit = (unsigned)request->limit, .after_endpoint = INT64_MAX};
    return (request->endpoint.len == 0 || number_of(webhooks, request->endpoint, &ret->endpoint)) &&
           (request->after_endpoint.len == 0 ||
            number_of(webhooks, request->after_endpoint, &ret->after_endpoint)) &&
           (request->event.len == 0 || queue_id_read(queue, request->event, &ret->seq)) &&
           (request->after.len == 0 || queue_id_read(queue, request->after, &ret->after));
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

/* It looks for what is due: what it is to have again is there at the end of the turn. */
static void wake_for_replay(void *context, int64_t number)
{
    struct webhooks *webhooks = context;
    struct endpoint *endpoint = webhooks_numbered(webhooks, number);
    if (!endpoint || endpoint->state != ENDPOINT_ACTIVE)
        return;
    int64_t wake_ms = endpoint->not_before_ms;
    if (wake_ms < webhooks->now_ms)
        wake_ms = webhooks->now_ms;
    if (endpoint->place == 0 || wake_ms < endpoint->wake_ms)
        wakes_set(&webhooks->wakes, endpoint, wake_ms);
}

static void replay(struct webhooks *webhooks, const struct queue_which *which, FILE *to)
{
    queue_dead_endpoints(webhooks->queue, which, wake_for_replay, webhooks);
    int count = queue_dead_replay(webhooks->queue, which, webhooks->now_ms);
    if (count < 0) {
        failure_write(to, count);
        return;
    }
    webhooks->turn.replayed += (unsigned)count;
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
        register_one(webhooks, ask, to);
        return;
    }
    webhooks_registered_now(webhooks);
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
