/* webhook_ship: what is due becomes a post, and an answer becomes done, later or dead. */
#include "courier/webhooks_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>
#include <xxhash.h>

#include "conf/settings.h"
#include "wire/out.h"

#define MS_PER_S 1000

enum {
    STATUS_GONE = 410,
    SLOW_MS = 1000,       /* an endpoint that takes so long is a slow one */
    SLOW_LOOK_MS = 50,    /* until a slow one asks again for a place */
    BURIED_MAX = 256,     /* too old or damaged, found while looking for what is due */
    LOADED_BYTES = 65536, /* a batch is not made longer than that */
};

/* ---- what is due ---- */

struct loading {
    struct shipment *shipment;
    const struct endpoint *endpoint;
    struct given_up {
        struct shipped_event event;
        const char *why;
    } given_up[BURIED_MAX];
    unsigned given_up_count;
    int64_t oldest_ms; /* what was born before is too old */
    bool no_memory;
};

static bool is_under_way(const struct endpoint *endpoint, uint64_t seq)
{
    const struct shipment *shipment;
    LL_FOREACH (endpoint->shipments, shipment)
        for (unsigned i = 0; i < shipment->count; i++)
            if (shipment->events[i].seq == seq)
                return true;
    return false;
}

static bool body_add(struct shipment *shipment, struct span bytes)
{
    size_t len = shipment->body_len + bytes.len;
    if (len > shipment->body_room) {
        size_t room = 2 * len;
        char *longer = realloc(shipment->body, room);
        if (!longer)
            return false;
        shipment->body = longer;
        shipment->body_room = room;
    }
    if (bytes.len > 0)
        memcpy(shipment->body + shipment->body_len, bytes.ptr, bytes.len);
    shipment->body_len = len;
    return true;
}

static bool load_row(void *context, const struct queue_row *row)
{
    struct loading *loading = context;
    struct shipment *shipment = loading->shipment;
    const struct endpoint *endpoint = loading->endpoint;
    const struct shipped_event event = {row->seq, row->born_ms, row->key, row->attempt, row->held};
    bool lists = endpoint->batch > 1;
    if (!row->held && is_under_way(endpoint, row->seq))
        return true;
    if (row->damaged || row->born_ms < loading->oldest_ms) {
        const char *why = row->damaged ? "damaged" : "budget";
        loading->given_up[loading->given_up_count++] = (struct given_up){event, why};
        return loading->given_up_count < BURIED_MAX;
    }
    if (lists && !body_add(shipment, shipment->count > 0 ? SPAN(",") : SPAN("[")))
        loading->no_memory = true;
    if (!body_add(shipment, row->body))
        loading->no_memory = true;
    shipment->events[shipment->count++] = event;
    shipment->at_rest += !row->held;
    return !loading->no_memory && shipment->count < endpoint->batch &&
           shipment->body_len < LOADED_BYTES;
}

static void shipment_free(struct shipment *shipment)
{
    free(shipment->url);
    free(shipment->body);
    free(shipment);
}

static void bury_given_up(struct webhooks *webhooks, const struct endpoint *endpoint,
                          const struct loading *loading)
{
    for (unsigned i = 0; i < loading->given_up_count; i++) {
        const struct shipped_event *event = &loading->given_up[i].event;
        if (queue_bury(webhooks->queue, endpoint->number, event->seq, event->key, event->attempt,
                       loading->given_up[i].why, webhooks->now_ms) == 0)
            webhooks->turn.buried++;
    }
}

/* Returns NULL when nothing is due, or memory is out. */
static struct shipment *load(struct webhooks *webhooks, struct endpoint *endpoint)
{
    static _Thread_local struct loading loading;
    const struct settings *settings = webhooks->settings;
    int64_t due_ms = webhooks->now_ms;
    if (endpoint->fresh >= endpoint->batch)
        due_ms += endpoint->batch_delay_ms;
    const struct queue_when when = {due_ms, endpoint->carried, endpoint->batch + BURIED_MAX};
    struct shipment *shipment =
        calloc(1, sizeof *shipment + endpoint->batch * sizeof(struct shipped_event));
    if (!shipment)
        return NULL;
    loading.shipment = shipment;
    loading.endpoint = endpoint;
    loading.oldest_ms = webhooks->now_ms - settings->webhook_budget_s * MS_PER_S;
    loading.no_memory = false;
    do {
        loading.given_up_count = 0;
        queue_due(webhooks->queue, endpoint->number, &when, load_row, &loading);
        bury_given_up(webhooks, endpoint, &loading);
    } while (loading.given_up_count == BURIED_MAX && shipment->count == 0);
    shipment->url = shipment->count > 0 && !loading.no_memory ? strdup(endpoint->url) : NULL;
    if (!shipment->url || (endpoint->batch > 1 && !body_add(shipment, SPAN("]")))) {
        for (unsigned i = 0; i < shipment->count; i++)
            queue_give_back(webhooks->queue, endpoint->number, shipment->events[i].seq);
        shipment_free(shipment);
        return NULL;
    }
    return shipment;
}

/* ---- a post ---- */

/* The event's; that of a batch is made of those of its events. */
static struct span id_of(const struct webhooks *webhooks, const struct shipment *shipment,
                         bool lists, char ret[QUEUE_ID_MAX])
{
    if (!lists)
        return span_of(ret, queue_id_write(webhooks->queue, shipment->events[0].seq, ret));
    XXH64_hash_t hash = 0;
    for (unsigned i = 0; i < shipment->count; i++) {
        char id[QUEUE_ID_MAX];
        size_t len = queue_id_write(webhooks->queue, shipment->events[i].seq, id);
        hash = XXH64(id, len, hash);
    }
    return span_of(ret,
                   (size_t)snprintf(ret, QUEUE_ID_MAX, "bat_%016llx", (unsigned long long)hash));
}

static void fields_write(struct webhooks *webhooks, struct shipment *shipment,
                         const struct endpoint *endpoint)
{
    char id_text[QUEUE_ID_MAX], signature[SIGNATURE_MAX];
    uint64_t now_s = (uint64_t)time(NULL);
    struct span body = span_of(shipment->body, shipment->body_len);
    struct span id = id_of(webhooks, shipment, endpoint->batch > 1, id_text);
    size_t len =
        signature_write(signature, endpoint->secrets, endpoint->secret_count, id, now_s, body);
    char(*fields)[SHIPMENT_FIELD_MAX] = shipment->fields;
    snprintf(fields[0], sizeof fields[0], "Content-Type: application/json");
    snprintf(fields[1], sizeof fields[1], "webhook-id: %.*s", (int)id.len, id.ptr);
    snprintf(fields[2], sizeof fields[2], "webhook-timestamp: %llu", (unsigned long long)now_s);
    snprintf(fields[3], sizeof fields[3], "webhook-signature: %.*s", (int)len, signature);
    snprintf(fields[4], sizeof fields[4], "ringside-attempt: %u", shipment->events[0].attempt + 1);
    for (unsigned i = 0; i < SHIPMENT_FIELDS; i++)
        shipment->field_list[i] = fields[i];
}

static void shipped(void *context, struct post *post);

static void ship(struct webhooks *webhooks, struct endpoint *endpoint, struct shipment *shipment)
{
    fields_write(webhooks, shipment, endpoint);
    shipment->webhooks = webhooks;
    shipment->endpoint = endpoint;
    shipment->began_ms = webhooks->now_ms;
    shipment->slow = endpoint->is_slow;
    webhooks->slow_under_way += shipment->slow;
    shipment->post = (struct post){
        .url = shipment->url,
        .fields = shipment->field_list,
        .field_count = SHIPMENT_FIELDS,
        .body = span_of(shipment->body, shipment->body_len),
        .timeout_ms = endpoint->timeout_ms,
        .ended = shipped,
    };
    LL_PREPEND(endpoint->shipments, shipment);
    endpoint->under_way++;
    endpoint->carried += shipment->at_rest;
    endpoint->fresh = endpoint->fresh > shipment->count ? endpoint->fresh - shipment->count : 0;
    post_start(webhooks->client, &shipment->post, webhooks->now_ns);
}

static bool has_place(const struct webhooks *webhooks, const struct endpoint *endpoint)
{
    unsigned most = endpoint->is_open ? 1 : endpoint->concurrency;
    unsigned half = (unsigned)webhooks->settings->courier_posts_max / 2;
    if (endpoint->is_slow && webhooks->slow_under_way >= (half > 0 ? half : 1))
        return false;
    return endpoint->under_way < most && post_places(webhooks->client) > 0;
}

void webhooks_rest_until(struct webhooks *webhooks, struct endpoint *endpoint)
{
    unsigned most = endpoint->is_open ? 1 : endpoint->concurrency;
    int64_t wake_ms = INT64_MAX;
    if (endpoint->state == ENDPOINT_ACTIVE && endpoint->under_way < most) {
        wake_ms = queue_next(webhooks->queue, endpoint->number, endpoint->carried);
        if (wake_ms != INT64_MAX && wake_ms < endpoint->not_before_ms)
            wake_ms = endpoint->not_before_ms;
    }
    wakes_set(&webhooks->wakes, endpoint, wake_ms);
}

void webhooks_ship(struct webhooks *webhooks)
{
    struct endpoint *endpoint;
    if (webhooks->now_ms < webhooks->pause_until_ms)
        return;
    while (post_places(webhooks->client) > 0 && (endpoint = wakes_first(&webhooks->wakes)) &&
           endpoint->wake_ms <= webhooks->now_ms) {
        struct shipment *shipment = NULL;
        while (has_place(webhooks, endpoint) && (shipment = load(webhooks, endpoint)))
            ship(webhooks, endpoint, shipment);
        if (!shipment && endpoint->under_way == 0)
            endpoint->fresh = 0;
        if (post_places(webhooks->client) == 0)
            break;
        webhooks_rest_until(webhooks, endpoint);
        if (endpoint->wake_ms <= webhooks->now_ms)
            wakes_set(&webhooks->wakes, endpoint, webhooks->now_ms + SLOW_LOOK_MS);
    }
}

/* ---- an answer ---- */

static void done_well(struct webhooks *webhooks, struct endpoint *endpoint,
                      const struct shipment *shipment)
{
    for (unsigned i = 0; i < shipment->count; i++)
        queue_done(webhooks->queue, endpoint->number, shipment->events[i].seq,
                   shipment->events[i].key, webhooks->now_ms);
    webhooks->turn.delivered += shipment->count;
    endpoint->failures = 0;
    if (endpoint->is_open)
        atomic_fetch_sub_explicit(&webhooks->counters.endpoints_failing, 1, memory_order_relaxed);
    endpoint->is_open = false;
    endpoint->not_before_ms = 0;
}

static void gone(struct webhooks *webhooks, struct endpoint *endpoint)
{
    char *text = NULL;
    size_t len = 0;
    int64_t number;
    FILE *to = open_memstream(&text, &len);
    endpoint->state = ENDPOINT_GONE;
    events_count(&webhooks->events, endpoint->types, -1);
    endpoint->types = 0;
    webhook_count(&webhooks->counters.endpoints_gone, 1);
    if (to) {
        endpoint_write(endpoint, true, to);
        fclose(to);
        queue_endpoint_put(webhooks->queue, endpoint->id, span_of(text, len), endpoint->from_file,
                           ENDPOINT_GONE, &number);
        free(text);
    }
    struct queue_stats before, after;
    queue_stats_read(webhooks->queue, &before);
    queue_bury_all(webhooks->queue, endpoint->number, "gone", webhooks->now_ms);
    queue_stats_read(webhooks->queue, &after);
    webhooks->turn.buried += (unsigned)(before.waiting - after.waiting);
}

/* So many in a row: from now on one at a time, and not before its time. */
static void breaker(struct webhooks *webhooks, struct endpoint *endpoint, int64_t wait_ms,
                    bool asked_to_wait)
{
    endpoint->failures++;
    if (!endpoint->is_open && (int64_t)endpoint->failures >= webhooks->settings->webhook_breaker) {
        endpoint->is_open = true;
        webhook_count(&webhooks->counters.endpoints_failing, 1);
        queue_rest(webhooks->queue, endpoint->number);
    }
    if (endpoint->is_open || asked_to_wait)
        endpoint->not_before_ms = webhooks->now_ms + wait_ms;
}

static void failed(struct webhooks *webhooks, struct endpoint *endpoint,
                   const struct shipment *shipment)
{
    const struct settings *settings = webhooks->settings;
    const struct post *post = &shipment->post;
    int64_t budget_ms = settings->webhook_budget_s * MS_PER_S;
    for (unsigned i = 0; i < shipment->count; i++) {
        const struct shipped_event *event = &shipment->events[i];
        int64_t next_ms =
            webhooks->now_ms + patience_ms(event->attempt + 1, settings->webhook_retry_min_ms,
                                           settings->webhook_retry_max_ms, post->retry_after_s,
                                           patience_random(&webhooks->random));
        if (next_ms - event->born_ms <= budget_ms) {
            queue_later(webhooks->queue, endpoint->number, event->seq, event->attempt + 1, next_ms);
            webhooks->turn.failed++;
            continue;
        }
        queue_bury(webhooks->queue, endpoint->number, event->seq, event->key, event->attempt + 1,
                   post->end == POST_ANSWERED ? "status" : post_end_name(post->end),
                   webhooks->now_ms);
        webhooks->turn.buried++;
    }
    breaker(webhooks, endpoint,
            patience_ms(endpoint->failures + 1, settings->webhook_retry_min_ms,
                        settings->webhook_retry_max_ms, post->retry_after_s,
                        patience_random(&webhooks->random)),
            post->retry_after_s > 0);
}

/* For whoever looks at the endpoint. */
static void note_failure(const struct webhooks *webhooks, struct endpoint *endpoint,
                         const struct post *post)
{
    endpoint->last_failure.at_ms = webhooks->now_ms;
    endpoint->last_failure.status = post->status;
    endpoint->last_failure.end = post->end;
}

static void take_off(struct endpoint *endpoint, struct shipment *shipment)
{
    struct shipment **link = &endpoint->shipments;
    while (*link != shipment)
        link = &(*link)->next;
    *link = shipment->next;
    endpoint->under_way--;
    endpoint->carried -= shipment->at_rest;
}

/* What came with a status is judged by that, whatever became of the rest of the answer. */
static void shipped(void *context, struct post *post)
{
    (void)context;
    struct shipment *shipment = (struct shipment *)(void *)post;
    struct webhooks *webhooks = shipment->webhooks;
    struct endpoint *endpoint = shipment->endpoint;
    bool well = post->status >= 200 && post->status <= 299;
    webhooks->slow_under_way -= shipment->slow;
    if (endpoint)
        take_off(endpoint, shipment);
    if (endpoint && post->end != POST_STOPPED) {
        endpoint->is_slow = !well || webhooks->now_ms - shipment->began_ms > SLOW_MS;
        if (!well)
            note_failure(webhooks, endpoint, post);
        if (well)
            done_well(webhooks, endpoint, shipment);
        else if (post->status == STATUS_GONE)
            gone(webhooks, endpoint);
        else
            failed(webhooks, endpoint, shipment);
        webhooks_rest_until(webhooks, endpoint);
    }
    post_clear(post);
    shipment_free(shipment);
}
