#define HASH_NONFATAL_OOM 1
#include "courier/webhooks_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <utlist.h>

#include "conf/settings.h"
#include "courier/reach.h"
#include "courier/syncer.h"
#include "hub/helper.h"
#include "wire/json_scan.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    WHY_MAX = 512,
    LOG_PATH_MAX = 1200,
    FILE_BYTES_MAX = 64 << 20,
};

/* ---- endpoints ---- */

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

struct endpoint *webhooks_endpoint(struct webhooks *webhooks, struct span id)
{
    struct endpoint *found = NULL;
    HASH_FIND(hh, webhooks->by_id, id.ptr, id.len, found);
    return found;
}

struct endpoint *webhooks_numbered(struct webhooks *webhooks, int64_t number)
{
    struct endpoint *found = NULL;
    HASH_FIND(by_number, webhooks->by_number, &number, sizeof number, found);
    return found;
}

/* Returns 0 or -ENOMEM. */
static int hashes_add(struct webhooks *webhooks, struct endpoint *endpoint)
{
    HASH_ADD_KEYPTR(hh, webhooks->by_id, endpoint->id, strlen(endpoint->id), endpoint);
    if (!endpoint->hh.tbl)
        return -ENOMEM;
    HASH_ADD(by_number, webhooks->by_number, number, sizeof endpoint->number, endpoint);
    if (endpoint->by_number.tbl)
        return 0;
    HASH_DELETE(hh, webhooks->by_id, endpoint);
    return -ENOMEM;
}

static void hashes_remove(struct webhooks *webhooks, struct endpoint *endpoint)
{
    HASH_DELETE(hh, webhooks->by_id, endpoint);
    HASH_DELETE(by_number, webhooks->by_number, endpoint);
}

/* NOLINTEND(readability-function-size) */

struct events *webhooks_events(struct webhooks *webhooks)
{
    return &webhooks->events;
}

static uint32_t types_of(const struct endpoint *endpoint)
{
    uint32_t types = 0;
    for (unsigned i = 0; i < SERVER_EVENT_COUNT; i++)
        if (endpoint_wants_type(endpoint, event_type((enum server_event)i)))
            types |= 1u << i;
    return types;
}

static void take_out(struct webhooks *webhooks, struct endpoint *endpoint)
{
    struct shipment *shipment;
    LL_FOREACH (endpoint->shipments, shipment)
        shipment->endpoint = NULL;
    wakes_set(&webhooks->wakes, endpoint, INT64_MAX);
    interest_remove(&webhooks->interest, endpoint);
    events_count(&webhooks->events, endpoint->types, -1);
    hashes_remove(webhooks, endpoint);
    if (endpoint->is_open)
        atomic_fetch_sub_explicit(&webhooks->counters.endpoints_failing, 1, memory_order_relaxed);
    if (endpoint->state == ENDPOINT_GONE)
        atomic_fetch_sub_explicit(&webhooks->counters.endpoints_gone, 1, memory_order_relaxed);
    endpoint_free(endpoint);
}

/* What is under way for the one before it is the new one's. */
static void adopt(struct endpoint *endpoint, struct endpoint *old)
{
    struct shipment *shipment;
    endpoint->shipments = old->shipments;
    endpoint->under_way = old->under_way;
    endpoint->carried = old->carried;
    LL_FOREACH (endpoint->shipments, shipment)
        shipment->endpoint = endpoint;
    old->shipments = NULL;
}

/* Returns 0 or -ENOMEM: then it is only on disk, and the next start has it. */
static int tables_add(struct webhooks *webhooks, struct endpoint *endpoint)
{
    if (hashes_add(webhooks, endpoint) < 0)
        return -ENOMEM;
    if (interest_add(&webhooks->interest, endpoint) < 0) {
        hashes_remove(webhooks, endpoint);
        return -ENOMEM;
    }
    if (endpoint->state == ENDPOINT_GONE)
        webhook_count(&webhooks->counters.endpoints_gone, 1);
    endpoint->types = types_of(endpoint);
    events_count(&webhooks->events, endpoint->types, 1);
    return 0;
}

static int put_in(struct webhooks *webhooks, struct endpoint *endpoint)
{
    struct endpoint *old = webhooks_endpoint(webhooks, span_from(endpoint->id));
    if (old) {
        adopt(endpoint, old);
        take_out(webhooks, old);
    }
    if (tables_add(webhooks, endpoint) < 0)
        return -ENOMEM;
    webhooks_rest_until(webhooks, endpoint);
    return 0;
}

static int put_on_disk(struct webhooks *webhooks, struct endpoint *endpoint)
{
    uint32_t count = HASH_CNT(hh, webhooks->by_id) + webhooks->registering;
    bool fresh = !webhooks_endpoint(webhooks, span_from(endpoint->id));
    if (fresh && count >= webhooks->settings->webhook_endpoints_max)
        return -ENOBUFS;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to || wakes_reserve(&webhooks->wakes, count + 1) < 0) {
        if (to)
            fclose(to);
        free(text);
        return -ENOMEM;
    }
    endpoint_write(endpoint, true, to);
    fclose(to);
    int err = queue_endpoint_put(webhooks->queue, endpoint->id, span_of(text, len),
                                 endpoint->from_file, endpoint->state, &endpoint->number);
    free(text);
    return err;
}

int webhooks_register(struct webhooks *webhooks, struct endpoint *endpoint, struct webhook_ask *ask)
{
    int err = put_on_disk(webhooks, endpoint);
    if (err < 0)
        return err;
    ask->registered = endpoint;
    ask->changes = true;
    webhooks->registering++;
    return 0;
}

void webhooks_registered(struct webhooks *webhooks, int err)
{
    for (struct call *call = webhooks->held.first; call && webhooks->registering > 0;
         call = call->next) {
        struct webhook_ask *ask = (struct webhook_ask *)call;
        if (!ask->registered)
            continue;
        if (err < 0 || put_in(webhooks, ask->registered) < 0) {
            endpoint_free(ask->registered);
            webhooks_void(ask);
        }
        ask->registered = NULL;
        webhooks->registering--;
    }
}

void webhooks_registered_now(struct webhooks *webhooks)
{
    if (webhooks->registering > 0)
        webhooks_registered(webhooks, webhooks_commit(webhooks));
}

int webhooks_remove(struct webhooks *webhooks, struct endpoint *endpoint)
{
    int err = queue_endpoint_remove(webhooks->queue, endpoint->number);
    int committed = webhooks_commit(webhooks);
    if (err == 0 && committed == 0) {
        queue_endpoint_forget(webhooks->queue, endpoint->number);
        take_out(webhooks, endpoint);
    }
    return err < 0 ? err : committed;
}

/* ---- at the start ---- */

/* What the queue has was read and written by us; settings may have changed since. */
static void known(void *context, int64_t number, struct span text, bool from_file, int state)
{
    struct webhooks *webhooks = context;
    char why[WHY_MAX];
    struct endpoint *endpoint = endpoint_read(text, webhooks->reach, why, sizeof why);
    if (endpoint) {
        endpoint->number = number;
        endpoint->from_file = from_file;
        if (state == ENDPOINT_GONE)
            endpoint->state = ENDPOINT_GONE;
    }
    if (!endpoint || wakes_reserve(&webhooks->wakes, HASH_CNT(hh, webhooks->by_id) + 1) < 0 ||
        tables_add(webhooks, endpoint) < 0) {
        fprintf(stderr, "ringside-server: an endpoint of webhook_queue is left out: %s\n",
                endpoint ? "memory is out" : why);
        endpoint_free(endpoint);
    }
}

static char *file_text(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0, len = 0;
    while (file && len == room && room < FILE_BYTES_MAX) {
        room = room > 0 ? 2 * room : 65536;
        char *longer = realloc(text, room);
        if (!longer)
            break;
        text = longer;
        len += fread(text + len, 1, room - len, file);
    }
    if (file)
        fclose(file);
    *ret_len = len;
    return text;
}

/* Those of the file that are not in it any more go. */
static int forget_others(struct webhooks *webhooks, unsigned generation)
{
    struct endpoint *endpoint, *next;
    int err = 0;
    HASH_ITER (hh, webhooks->by_id, endpoint, next)
        if (endpoint->from_file && endpoint->fresh != generation && err == 0)
            err = webhooks_remove(webhooks, endpoint);
        else
            endpoint->fresh = 0;
    return err;
}

static int file_item(struct webhooks *webhooks, struct span item, char *why, size_t why_size)
{
    char reason[WHY_MAX];
    struct endpoint *endpoint = endpoint_read(item, webhooks->reach, reason, sizeof reason);
    int err = -EINVAL;
    if (endpoint && endpoint->drawn) {
        snprintf(reason, sizeof reason,
                 "%s: an endpoint of a file needs secrets: one that is "
                 "drawn at each start is known to no receiver",
                 endpoint->id);
    } else if (endpoint) {
        const struct endpoint *old = webhooks_endpoint(webhooks, span_from(endpoint->id));
        endpoint->from_file = true;
        endpoint->fresh = 1;
        if (old && old->state == ENDPOINT_GONE && strcmp(old->url, endpoint->url) == 0)
            endpoint->state = ENDPOINT_GONE;
        snprintf(reason, sizeof reason, "%s: %s", endpoint->id,
                 "the queue has no room, or webhook_endpoints_max is reached");
        err = put_on_disk(webhooks, endpoint);
        if (err == 0)
            err = put_in(webhooks, endpoint);
    }
    if (err == 0)
        return 0;
    endpoint_free(endpoint);
    snprintf(why, why_size, "webhook_endpoints = %s: %.400s", webhooks->settings->webhook_endpoints,
             reason);
    return err;
}

static int file_read(struct webhooks *webhooks, char *why, size_t why_size)
{
    const char *path = webhooks->settings->webhook_endpoints;
    size_t len = 0;
    if (path[0] == '\0')
        return forget_others(webhooks, 1);
    char *text = file_text(path, &len);
    struct json_items items = json_items_begin(span_of(text, len));
    struct span item;
    enum json_kind kind;
    int found = -1, err = 0;
    while (text && err == 0 && (found = json_items_next(&items, &item, &kind)) > 0)
        err = file_item(webhooks, item, why, why_size);
    free(text);
    if (err == 0 && found != 0) {
        snprintf(why, why_size,
                 "webhook_endpoints = %s: cannot be read, or is no JSON list of endpoints", path);
        err = -EINVAL;
    }
    if (err == 0)
        err = forget_others(webhooks, 1);
    if (err == 0 && (err = queue_commit(webhooks->queue)) < 0)
        snprintf(why, why_size, "webhook_queue = %s: cannot be written",
                 webhooks->settings->webhook_queue);
    return err;
}

static void forget_all(struct webhooks *webhooks)
{
    struct endpoint *endpoint, *next;
    HASH_ITER (hh, webhooks->by_id, endpoint, next)
        take_out(webhooks, endpoint);
    queue_close(webhooks->queue);
    webhooks->queue = NULL;
}

int webhooks_begin(struct webhooks *webhooks, char *why, size_t why_size)
{
    const struct settings *settings = webhooks->settings;
    const struct queue_config config = {
        .path = settings->webhook_queue,
        .bytes_max = settings->webhook_queue_bytes_max,
        .dead_max = settings->webhook_dead_max,
        .drop_oldest = settings->webhook_drop_oldest,
    };
    int damaged = queue_open(&webhooks->queue, &config, why, why_size);
    if (damaged < 0)
        return damaged;
    if (damaged > 0)
        fprintf(stderr, "ringside-server: %s\n", why);
    int err = queue_endpoints(webhooks->queue, known, webhooks);
    if (err == 0)
        err = file_read(webhooks, why, why_size);
    else
        snprintf(why, why_size, "webhook_queue = %s: its endpoints cannot be read",
                 settings->webhook_queue);
    if (err == 0) {
        webhooks_gauges_set(webhooks);
        webhooks_full_set(webhooks);
    } else {
        forget_all(webhooks);
    }
    return err;
}

int webhooks_create(struct webhooks **ret, const struct settings *settings,
                    const struct reach *reach, char *why, size_t why_size)
{
    struct webhooks *webhooks = calloc(1, sizeof *webhooks);
    if (!webhooks) {
        snprintf(why, why_size, "webhooks: memory is out");
        return -ENOMEM;
    }
    webhooks->settings = settings;
    webhooks->reach = reach;
    events_init(&webhooks->events, webhooks);
    if (getrandom(&webhooks->random, sizeof webhooks->random, 0) < 0)
        webhooks->random = (uint64_t)time(NULL);
    webhooks_full_set(webhooks);
    int err = webhooks_begin(webhooks, why, why_size);
    if (err < 0 && err != -EBUSY) {
        webhooks_free(webhooks);
        return err;
    }
    *ret = webhooks;
    return err;
}

int webhooks_attach(struct webhooks *webhooks, struct post_client *client, struct helper *helper)
{
    struct endpoint *endpoint, *next;
    char log[LOG_PATH_MAX];
    snprintf(log, sizeof log, "%s-wal", webhooks->settings->webhook_queue);
    int err = syncer_create(&webhooks->syncer, log, helper ? helper_bell(helper) : NULL);
    if (err < 0)
        return err;
    webhooks->client = client;
    webhooks->helper = helper;
    HASH_ITER (hh, webhooks->by_id, endpoint, next)
        webhooks_rest_until(webhooks, endpoint);
    return 0;
}

void webhooks_free(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    syncer_free(webhooks->syncer);
    forget_all(webhooks);
    wakes_done(&webhooks->wakes);
    interest_done(&webhooks->interest);
    free(webhooks);
}

const struct webhook_counters *webhook_counters(const struct webhooks *webhooks)
{
    return &webhooks->counters;
}

/* ---- asks ---- */

struct webhook_ask *webhook_ask_create(enum webhook_op op, struct span body,
                                       const struct call_ops *ops, const struct ticket *ticket)
{
    struct webhook_ask *ask = calloc(1, sizeof *ask + body.len + 1);
    if (!ask)
        return NULL;
    ask->call.ops = ops;
    ask->call.ticket = *ticket;
    ask->op = op;
    ask->len = body.len;
    if (body.len > 0)
        memcpy(ask->text, body.ptr, body.len);
    return ask;
}

void webhook_ask_free(struct webhook_ask *ask)
{
    free(ask->answer);
    free(ask);
}

void webhooks_ask(struct webhooks *webhooks, struct webhook_ask *ask)
{
    webhook_api(webhooks, ask);
    webhooks_hold(&webhooks->held, &ask->call);
}

/* ---- the turn ---- */

void webhooks_tick(struct webhooks *webhooks, int64_t now_ns)
{
    webhooks->now_ns = now_ns;
    webhooks->now_ms = queue_clock(webhooks->queue, now_ns);
}

static int64_t ship_ms(const struct webhooks *webhooks)
{
    const struct endpoint *first = wakes_first(&webhooks->wakes);
    if (!first || post_places(webhooks->client) == 0)
        return INT64_MAX;
    return first->wake_ms > webhooks->pause_until_ms ? first->wake_ms : webhooks->pause_until_ms;
}

int64_t webhooks_deadline_ns(const struct webhooks *webhooks)
{
    int64_t at_ms = ship_ms(webhooks), settle_ms = webhooks_settle_ms(webhooks);
    if (settle_ms < at_ms)
        at_ms = settle_ms;
    if (at_ms == INT64_MAX)
        return INT64_MAX;
    int64_t left_ms = at_ms - webhooks->now_ms;
    if (left_ms > INT32_MAX)
        left_ms = INT32_MAX;
    return webhooks->now_ns + (left_ms > 0 ? left_ms : 0) * NS_PER_MS;
}
