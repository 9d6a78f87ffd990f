/* webhook_accept: an event goes into the queue of each endpoint that wants it. */
#include "courier/webhooks_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    TARGETS_FIRST = 16,
    BODY_AROUND = 256, /* bytes of an event besides its type, channel and data */
};

struct targets {
    struct queue_target first[TARGETS_FIRST];
    struct queue_target *at;
    unsigned count, room;
};

static bool target_add(struct targets *targets, const struct queue_target *target)
{
    if (targets->count == targets->room) {
        bool own = targets->at != targets->first;
        unsigned room = 2 * targets->room;
        struct queue_target *longer = realloc(own ? targets->at : NULL, room * sizeof *longer);
        if (!longer)
            return false;
        if (!own)
            memcpy(longer, targets->first, sizeof targets->first);
        targets->at = longer;
        targets->room = room;
    }
    targets->at[targets->count++] = *target;
    return true;
}

static int64_t key_of(const struct endpoint *endpoint, struct span channel)
{
    if (!endpoint->keyed || channel.len == 0)
        return 0;
    int64_t key = (int64_t)XXH64(channel.ptr, channel.len, 0);
    return key != 0 ? key : 1;
}

struct finding {
    const struct webhooks *webhooks;
    const struct webhook_event *event;
    struct targets *targets;
};

static bool may_want(void *context, struct endpoint *endpoint)
{
    const struct finding *finding = context;
    const struct webhook_event *event = finding->event;
    if (!endpoint_wants(endpoint, event->type, event->channel))
        return true;
    const struct queue_target target = {
        .endpoint = endpoint->number,
        .next_ms = finding->webhooks->now_ms + endpoint->batch_delay_ms,
        .key = key_of(endpoint, event->channel),
        .rests = endpoint->is_open || endpoint->is_slow,
    };
    return target_add(finding->targets, &target);
}

/* Returns false when memory is out. */
static bool targets_find(struct webhooks *webhooks, const struct webhook_event *event,
                         struct targets *ret)
{
    struct finding finding = {webhooks, event, ret};
    return interest_ask(&webhooks->interest, event->type, event->channel, may_want, &finding);
}

static size_t body_write(char *body, size_t room, const char *id, const struct webhook_event *event)
{
    struct timespec now;
    struct tm parts;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    int len = snprintf(body, room, "{\"id\":\"%s\",\"type\":\"%.*s\",\"timestamp\":\"%s.%03ldZ\"",
                       id, (int)event->type.len, event->type.ptr, date, now.tv_nsec / NS_PER_MS);
    size_t at = (size_t)len;
    if (event->channel.len > 0)
        at += (size_t)snprintf(body + at, room - at, ",\"channel\":\"%.*s\"",
                               (int)event->channel.len, event->channel.ptr);
    at += (size_t)snprintf(body + at, room - at, ",\"data\":");
    memcpy(body + at, event->data.ptr, event->data.len);
    at += event->data.len;
    body[at++] = '}';
    return at;
}

/* Whoever has nothing to do before that wakes for it. */
static void wake_targets(struct webhooks *webhooks, const struct targets *targets)
{
    for (unsigned i = 0; i < targets->count; i++) {
        struct endpoint *endpoint = webhooks_numbered(webhooks, targets->at[i].endpoint);
        int64_t wake_ms = targets->at[i].next_ms;
        unsigned most = endpoint->is_open ? 1 : endpoint->concurrency;
        endpoint->fresh++;
        if (endpoint->batch > 1 && endpoint->fresh >= endpoint->batch)
            wake_ms = webhooks->now_ms;
        if (wake_ms < endpoint->not_before_ms)
            wake_ms = endpoint->not_before_ms;
        if (endpoint->under_way < most && (endpoint->place == 0 || wake_ms < endpoint->wake_ms))
            wakes_set(&webhooks->wakes, endpoint, wake_ms);
    }
}

int webhooks_accept(struct webhooks *webhooks, const struct webhook_event *event,
                    char id[QUEUE_ID_MAX])
{
    struct targets targets = {.room = TARGETS_FIRST};
    targets.at = targets.first;
    size_t room = BODY_AROUND + event->type.len + event->channel.len + event->data.len;
    uint64_t seq = queue_number(webhooks->queue);
    id[queue_id_write(webhooks->queue, seq, id)] = '\0';
    char *body = malloc(room);
    int err = body && targets_find(webhooks, event, &targets) ? 0 : -ENOMEM;
    if (err == 0 && targets.count > 0) {
        size_t len = body_write(body, room, id, event);
        err = queue_event_add(webhooks->queue, seq, span_of(body, len), targets.at, targets.count,
                              webhooks->now_ms);
    }
    if (err == 0 && targets.count > 0) {
        wake_targets(webhooks, &targets);
        webhooks->turn.accepted++;
    }
    if (err < 0)
        webhook_count(&webhooks->counters.events_refused, 1);
    free(body);
    if (targets.at != targets.first)
        free(targets.at);
    return err < 0 ? err : (int)targets.count;
}
