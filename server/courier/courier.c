#include "courier/courier.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/settings.h"
#include "courier/events.h"
#include "courier/reach.h"
#include "courier/webhooks.h"
#include "hub/helper.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    WAIT_MS_MAX = 1000,
    QUEUE_LOOK_MS = 50,
    QUEUE_PATIENCE_MS = 10000, /* beyond drain_ms */
    WHY_MAX = 512,
};

struct courier {
    struct reach reach;
    const struct settings *settings;
    struct post_client *client;
    struct webhooks *webhooks; /* NULL: it is the one for hooks */
    struct hub_set *set;
    unsigned which;
    struct courier_waker waker;
    struct helper *helper;
    pthread_t thread;
    bool started;
    bool is_open; /* the queue of webhooks is there */
    bool stopped; /* its client takes no more */
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- asks ---- */

static void answer(void *context, struct post *post)
{
    struct courier *courier = context;
    struct courier_post *asked =
        (struct courier_post *)(void *)((char *)post - offsetof(struct courier_post, post));
    helper_answer(courier->helper, &asked->call);
}

void courier_run(void *target, struct call *call)
{
    struct courier *courier = target;
    struct courier_post *asked = (struct courier_post *)call;
    asked->post.ended = answer;
    if (courier->stopped) {
        asked->post.end = POST_STOPPED;
        helper_answer(courier->helper, call);
        return;
    }
    post_start(courier->client, &asked->post, clock_ns());
}

int courier_ask(const struct courier *courier, struct hub *hub, struct courier_post *post)
{
    return hub_call(hub, helper_participant(courier->set, courier->which), &post->call);
}

void courier_run_webhooks(void *target, struct call *call)
{
    struct courier *courier = target;
    if (courier->stopped || !courier->is_open)
        helper_answer(courier->helper, call);
    else
        webhooks_ask(courier->webhooks, (struct webhook_ask *)call);
}

int courier_ask_webhooks(const struct courier *courier, struct hub *hub, struct webhook_ask *ask)
{
    return hub_call(hub, helper_participant(courier->set, courier->which), &ask->call);
}

/* ---- life ---- */

/* Where an application is asked. */
struct hook_endpoint {
    const char *name, *url;
};

enum {
    HOOK_ENDPOINTS = 6,
};

static void hook_endpoints_of(const struct settings *settings,
                              struct hook_endpoint ret[HOOK_ENDPOINTS])
{
    const struct hook_endpoint endpoints[] = {
        {"proxy_connect_endpoint", settings->proxy_connect_endpoint},
        {"proxy_refresh_endpoint", settings->proxy_refresh_endpoint},
        {"proxy_subscribe_endpoint", settings->proxy_subscribe_endpoint},
        {"proxy_publish_endpoint", settings->proxy_publish_endpoint},
        {"proxy_sub_refresh_endpoint", settings->proxy_sub_refresh_endpoint},
        {"proxy_rpc_endpoint", settings->proxy_rpc_endpoint},
    };
    memcpy(ret, endpoints, sizeof endpoints);
}

static unsigned hook_endpoints_count(const struct settings *settings)
{
    struct hook_endpoint endpoints[HOOK_ENDPOINTS];
    unsigned count = 0;
    hook_endpoints_of(settings, endpoints);
    for (unsigned i = 0; i < HOOK_ENDPOINTS; i++)
        count += endpoints[i].url[0] != '\0';
    return count;
}

static int hook_endpoints_check(const struct settings *settings, const struct reach *reach,
                                char *why, size_t why_size)
{
    struct hook_endpoint endpoints[HOOK_ENDPOINTS];
    hook_endpoints_of(settings, endpoints);
    for (unsigned i = 0; i < HOOK_ENDPOINTS; i++) {
        if (endpoints[i].url[0] == '\0' || post_url_good(reach, endpoints[i].url))
            continue;
        snprintf(why, why_size,
                 "%s = %s: needs a URL as https://app.example/hook, or http:// of a host that "
                 "courier_private names",
                 endpoints[i].name, endpoints[i].url);
        return -EINVAL;
    }
    return 0;
}

static bool is_wanted(enum courier_role role, const struct settings *settings)
{
    switch (role) {
    case COURIER_HOOKS:
        return hook_endpoints_count(settings) > 0;
    case COURIER_WEBHOOKS:
        return settings->webhook_queue[0] != '\0';
    case COURIER_ROLES:
        break;
    }
    return false;
}

int courier_create(struct courier **ret, enum courier_role role, const struct settings *settings,
                   char *why, size_t why_size)
{
    *ret = NULL;
    if (!is_wanted(role, settings))
        return 0;
    struct courier *courier = calloc(1, sizeof *courier);
    if (!courier || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(courier);
        snprintf(why, why_size, "courier: memory is out");
        return -ENOMEM;
    }
    courier->settings = settings;
    int err = reach_read(&courier->reach, settings->courier_private, settings->courier_ports,
                         settings->courier_plain, why, why_size);
    if (err == 0 && role == COURIER_HOOKS)
        err = hook_endpoints_check(settings, &courier->reach, why, why_size);
    const struct post_config config = {
        .reach = &courier->reach,
        .authorities = settings->courier_authorities,
        .places = (unsigned)settings->courier_posts_max,
        .context = courier,
    };
    if (err == 0) {
        err = post_client_create(&courier->client, &config);
        if (err < 0)
            snprintf(why, why_size, "courier: memory or descriptors are out");
    }
    if (err == 0 && role == COURIER_WEBHOOKS) {
        err = webhooks_create(&courier->webhooks, settings, &courier->reach, why, why_size);
        courier->is_open = err == 0;
        err = err == -EBUSY ? 0 : err;
    }
    if (err < 0) {
        courier_free(courier);
        return err;
    }
    *ret = courier;
    return 0;
}

static void wake(void *context, unsigned shard)
{
    const struct courier *courier = context;
    courier->waker.wake(courier->waker.context, shard);
}

/* Until something comes, or its time. */
static void rest(struct courier *courier)
{
    struct pollfd fds[] = {
        {.fd = helper_bell(courier->helper)->fd, .events = POLLIN},
        {.fd = post_fd(courier->client), .events = POLLIN},
    };
    int64_t deadline_ns = post_deadline_ns(courier->client);
    int64_t webhooks_ns = courier->is_open ? webhooks_deadline_ns(courier->webhooks) : INT64_MAX;
    int64_t left_ns = (webhooks_ns < deadline_ns ? webhooks_ns : deadline_ns) - clock_ns();
    int64_t left_ms = left_ns <= 0 ? 0 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    int timeout_ms = left_ms < WAIT_MS_MAX ? (int)left_ms : WAIT_MS_MAX;
    if (helper_sleep(courier->helper)) {
        poll(fds, sizeof fds / sizeof fds[0], timeout_ms);
        if (fds[0].revents)
            bell_wait(helper_bell(courier->helper), 0);
    }
    helper_awake(courier->helper);
}

/* Another process has the queue: the one that this one succeeds, which ends its clients and then
 * itself. What shards ask meanwhile stays in the lanes; when it takes too long it is refused. */
static void wait_for_queue(struct courier *courier)
{
    int64_t patience_ms = courier->settings->drain_ms + QUEUE_PATIENCE_MS;
    int64_t late_ns = clock_ns() + patience_ms * NS_PER_MS;
    char why[WHY_MAX];
    while (!courier->is_open && !helper_stopping(courier->helper)) {
        int err = webhooks_begin(courier->webhooks, why, sizeof why);
        courier->is_open = err == 0;
        if (err < 0 && late_ns != INT64_MAX && (err != -EBUSY || clock_ns() > late_ns)) {
            fprintf(stderr, "ringside-server: %s; it is tried again\n", why);
            late_ns = INT64_MAX;
        }
        if (late_ns == INT64_MAX)
            helper_turn(courier->helper);
        if (err < 0)
            poll(NULL, 0, QUEUE_LOOK_MS);
    }
}

static void attach(struct courier *courier)
{
    int err = webhooks_attach(courier->webhooks, courier->client, courier->helper);
    if (err == 0)
        return;
    courier->is_open = false;
    fprintf(stderr, "ringside-server: webhooks are not served, the disk has no thread: %s\n",
            strerror(-err));
}

static void *run(void *context)
{
    struct courier *courier = context;
    bool more = false;
    if (courier->webhooks)
        wait_for_queue(courier);
    if (courier->is_open)
        attach(courier);
    while (more || !helper_stopping(courier->helper)) {
        if (courier->is_open)
            webhooks_tick(courier->webhooks, clock_ns());
        post_turn(courier->client, clock_ns());
        more = helper_turn(courier->helper);
        if (courier->is_open)
            webhooks_ship(courier->webhooks);
        post_turn(courier->client, clock_ns());
        if (courier->is_open)
            webhooks_settle(courier->webhooks);
        if (!more)
            rest(courier);
    }
    courier->stopped = true;
    post_stop(courier->client);
    if (courier->is_open)
        webhooks_stop(courier->webhooks);
    while (helper_turn(courier->helper))
        ;
    return NULL;
}

int courier_start(struct courier *courier, struct hub_set *set, unsigned which,
                  const struct courier_waker *waker)
{
    static const struct helper_ops ops = {.wake = wake};
    courier->set = set;
    courier->which = which;
    if (courier->webhooks)
        courier_events(courier)->participant = helper_participant(set, which);
    courier->waker = *waker;
    courier->helper = helper_create(set, which, &ops, courier);
    if (!courier->helper)
        return -ENOMEM;
    int err = pthread_create(&courier->thread, NULL, run, courier);
    courier->started = err == 0;
    return -err;
}

void courier_end(struct courier *courier)
{
    if (!courier || !courier->started)
        return;
    helper_stop(courier->set, courier->which);
    pthread_join(courier->thread, NULL);
    courier->started = false;
}

void courier_free(struct courier *courier)
{
    if (!courier)
        return;
    assert(!courier->started);
    helper_free(courier->helper);
    post_client_free(courier->client);
    webhooks_free(courier->webhooks);
    free(courier);
    curl_global_cleanup();
}

struct events *courier_events(const struct courier *courier)
{
    return courier->webhooks ? webhooks_events(courier->webhooks) : NULL;
}

unsigned courier_stats_read(const struct courier *courier, struct courier_row ret[COURIER_ROWS_MAX])
{
    const struct post_counters *counters = post_counters(courier->client);
    unsigned count = 0;
#define ROW(row_name, row_kind, row_help)                                                          \
    ret[count++] =                                                                                 \
        (struct courier_row){#row_name, row_kind, row_help, NULL,                                  \
                             atomic_load_explicit(&counters->row_name, memory_order_relaxed)};
    POST_COUNTERS(ROW)
#undef ROW
    for (unsigned end = 0; end < POST_END_COUNT; end++)
        ret[count++] = (struct courier_row){
            "ended", "counter", "Posts ended, by how", post_end_name((enum post_end)end),
            atomic_load_explicit(&counters->ends[end], memory_order_relaxed)};
    if (courier->webhooks) {
        const struct webhook_counters *own = webhook_counters(courier->webhooks);
#define ROW(row_name, row_kind, row_help)                                                          \
    ret[count++] =                                                                                 \
        (struct courier_row){#row_name, row_kind, row_help, NULL,                                  \
                             atomic_load_explicit(&own->row_name, memory_order_relaxed)};
        WEBHOOK_COUNTERS(ROW)
#undef ROW
    }
    assert(count <= COURIER_ROWS_MAX);
    return count;
}
