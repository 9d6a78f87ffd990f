#include "courier/events.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "courier/webhooks_internal.h"
#include "hub/hub.h"
#include "wire/base64.h"
#include "wire/json_scan.h"

static_assert((int)EVENT_CACHE_EMPTY + 1 == (int)HUB_EVENTS, "the hub's come first, in its order");
static_assert((int)EVENT_PUBLISHED == (int)HUB_PUBLISHED, "likewise");

/* One on its way. */
struct news {
    struct call call;
    struct events *events;
    struct message *message; /* or NULL */
    uint64_t epoch, offset;
    uint8_t event; /* enum server_event */
    uint8_t name_len;
    uint32_t data_len;
    char text[]; /* name, data */
};

struct span event_type(enum server_event event)
{
    static const struct span types[] = {
#define TYPE(NAME, type) SPAN_INIT(type),
        SERVER_EVENTS(TYPE)
#undef TYPE
    };
    return types[event];
}

/* ---- the courier's side ---- */

static void payload_write(FILE *to, const struct message *message)
{
    struct span payload = span_of(message_payload(message), message->payload_len);
    if (message->utf8 && json_valid(payload)) {
        fputs(",\"data\":", to);
        (void)fwrite(payload.ptr, 1, payload.len, to);
    } else if (message->utf8) {
        fputs(",\"data\":", to);
        json_text_write(to, payload);
    } else {
        char *text = malloc(BASE64_SIZE(payload.len));
        size_t len = text ? base64_encode(text, payload) : 0;
        fprintf(to, ",\"b64data\":\"%.*s\"", (int)len, text ? text : "");
        free(text);
    }
}

static void published_write(FILE *to, const struct news *news)
{
    const struct message *message = news->message;
    if (message->kind == MESSAGE_PUBLICATION)
        fprintf(to, "{\"offset\":%" PRIu64 ",\"epoch\":\"%" PRIx64 "\"", news->offset, news->epoch);
    else
        fputs("{\"ephemeral\":true", to);
    if (message->event_len > 0)
        fprintf(to, ",\"event\":\"%.*s\"", (int)message->event_len, message_event(message));
    payload_write(to, message);
    (void)fwrite(message_more(message), 1, message->more_len, to);
    fputs("}", to);
}

static void news_free(struct news *news)
{
    message_unref(news->message);
    free(news);
}

static void drop(struct call *call)
{
    struct news *news = (struct news *)call;
    atomic_fetch_add_explicit(&news->events->lost, 1, memory_order_relaxed);
    news_free(news);
}

static void take(struct news *news)
{
    char id[QUEUE_ID_MAX], *made = NULL;
    size_t len = 0;
    struct webhook_event event = {
        .type = event_type((enum server_event)news->event),
        .channel = span_of(news->text, news->name_len),
        .data = span_of(news->text + news->name_len, news->data_len),
    };
    if (news->message) {
        FILE *to = open_memstream(&made, &len);
        if (!to)
            return;
        published_write(to, news);
        fclose(to);
        event.data = span_of(made, len);
    }
    webhooks_accept(news->events->webhooks, &event, id);
    free(made);
}

static void run(void *target, struct call *call)
{
    (void)target;
    struct news *news = (struct news *)call;
    if (!news->events->webhooks->queue) {
        drop(call);
        return;
    }
    take(news);
    news_free(news);
}

static const struct call_ops ops = {.run = run, .drop = drop};

/* ---- a shard's side ---- */

static void tell(struct events *events, struct hub *hub, enum server_event event,
                 const struct hub_happening *what, struct span data)
{
    struct news *news = malloc(sizeof *news + what->name_len + data.len);
    if (!news) {
        atomic_fetch_add_explicit(&events->lost, 1, memory_order_relaxed);
        return;
    }
    *news = (struct news){
        .call.ops = &ops,
        .events = events,
        .message = what->message ? message_ref(what->message) : NULL,
        .epoch = what->epoch,
        .offset = what->offset,
        .event = (uint8_t)event,
        .name_len = (uint8_t)what->name_len,
        .data_len = (uint32_t)data.len,
    };
    if (what->name_len > 0)
        memcpy(news->text, what->name, what->name_len);
    memcpy(news->text + what->name_len, data.ptr, data.len);
    if (hub_call(hub, events->participant, &news->call) < 0)
        drop(&news->call);
}

static void told(struct hub_witness *witness, struct hub *hub,
                 const struct hub_happening *happening)
{
    struct events *events = (struct events *)witness;
    tell(events, hub, (enum server_event)happening->event, happening, SPAN("{}"));
}

void events_tell(struct events *events, struct hub *hub, enum server_event event,
                 struct span channel, struct span data)
{
    const struct hub_happening what = {.name = channel.ptr, .name_len = channel.len};
    if (witness_wants(&events->witness, event))
        tell(events, hub, event, &what, data);
}

/* ---- who wants what ---- */

void events_init(struct events *events, struct webhooks *webhooks)
{
    static_assert(offsetof(struct events, witness) == 0, "the witness is the events");
    *events = (struct events){.witness.told = told, .webhooks = webhooks};
}

void events_count(struct events *events, uint32_t types, int by)
{
    uint32_t wants = 0;
    for (unsigned i = 0; i < SERVER_EVENT_COUNT; i++) {
        if (types & 1u << i)
            events->wanting[i] += (unsigned)by;
        if (events->wanting[i] > 0)
            wants |= 1u << i;
    }
    atomic_store_explicit(&events->witness.wants, wants, memory_order_relaxed);
}
