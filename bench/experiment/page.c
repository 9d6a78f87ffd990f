/* page: how many event streams a page of a real browser has at one time, on how many connections.
 *
 *   for HTTP/1.1, then HTTP/2, each with a server of its own:
 *     browser on a page with --subscribers EventSources ─► the server's gauges, ten times a second
 *                                      ─► nothing has changed for --seconds
 *
 * What counts is what the server sees. The page asks for `/` first, with which the server would
 * push something. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "experiment/bench.h"
#include "experiment/browser.h"
#include "measure/clock.h"
#include "measure/http_get.h"
#include "output/figure.h"

static const int64_t LOOK_NS = (int64_t)100 * NS_PER_MS;
static const int64_t COMES_NS = (int64_t)60 * NS_PER_S; /* until its first stream */

enum {
    PAGE_MAX = 512,
    STATUS_OK = 200,
    CONNECTIONS = 1000,
};

static const struct protocol_of_page {
    const char *workload, *setting;
} protocols[] = {
    {"HTTP/1.1", "http2=off"},
    {"HTTP/2", "http2=on"},
};

enum {
    PROTOCOLS_OF_PAGE = sizeof protocols / sizeof protocols[0],
};

struct page_seen {
    uint64_t open, connections;
    uint64_t unwanted; /* pushes: the browser's SETTINGS took none */
    int64_t last_ns;   /* when the last stream came, from the browser's start */
};

static const enum option_id page_options[] = {OPTION_SUBSCRIBERS, OPTION_SECONDS, OPTION_COUNT};

static void defaults(struct options *options)
{
    options->subscribers = 10;
    options->seconds = 5;
}

/* Browsers speak HTTP/2 over TLS alone. */
static void settle(struct options *options)
{
    options->tls = true;
}

static uint64_t gauge(const char *metrics, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(metrics, line);
    return found ? strtoull(found + strlen(line), NULL, 10) : 0;
}

/* Returns false when the server does not answer. */
static bool look(struct http_get *get, char *metrics, struct page_seen *ret)
{
    if (http_get(get, "/metrics", metrics, HTTP_GET_METRICS_MAX) != STATUS_OK)
        return false;
    ret->open = gauge(metrics, "ringside_streams_sse");
    ret->unwanted = gauge(metrics, "ringside_http2_pushes_unwanted_total");
    ret->connections = gauge(metrics, "ringside_connections") - 1; /* ours is one of them */
    return true;
}

/* Until nothing has changed for a while: streams come, and connections that were opened ahead of
 * them go. */
static int watch_streams(struct bench *bench, struct browser *browser, struct http_get *get,
                         struct page_seen *ret)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    const int64_t begin_ns = clock_now_ns(), calm_ns = bench->options->seconds * NS_PER_S;
    int64_t changed_ns = begin_ns, now_ns = begin_ns;
    char *metrics = malloc(HTTP_GET_METRICS_MAX);
    int err = 0;
    assert(metrics);
    *ret = (struct page_seen){0};
    while (err == 0 && now_ns - changed_ns < (ret->open > 0 ? calm_ns : COMES_NS)) {
        struct page_seen seen = {0};
        nanosleep(&pause, NULL);
        now_ns = clock_now_ns();
        if (bench_interrupted())
            err = -EINTR;
        else if (!process_alive(&browser->process))
            err = bench_fail(-ECHILD, "the browser has ended by itself");
        else if (!look(get, metrics, &seen))
            err = bench_fail(-EPROTO, "the server does not say how many streams it has");
        if (err < 0 || (seen.open == ret->open && seen.connections == ret->connections))
            continue;
        changed_ns = now_ns;
        seen.last_ns = seen.open == ret->open ? ret->last_ns : now_ns - begin_ns;
        *ret = seen;
    }
    free(metrics);
    return err;
}

static void take(struct bench *bench, const struct protocol_of_page *protocol, const char *version,
                 const struct page_seen *seen)
{
    struct contestant *contestant =
        result_add(&bench->result, "chromium", protocol->workload, KIND_PEER);
    contestant->connections = (uint32_t)seen->connections;
    snprintf(contestant->version, sizeof contestant->version, "%s", version);
    contestant_figure(
        contestant, "page",
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "unwanted_pushes", figure_count(seen->unwanted),
                  "asked", figure_count(bench->options->subscribers), "open",
                  figure_count(seen->open), "connections", figure_count(seen->connections),
                  "open_s", figure_seconds(seen->last_ns)));
}

static int visit(struct bench *bench, const struct protocol_of_page *protocol, const char *path,
                 struct page_seen *ret)
{
    const char *const settings[] = {protocol->setting, "http2_push=/healthz", NULL};
    char page[PAGE_MAX];
    struct server *server;
    struct browser browser;
    struct http_get get;
    watch_phase(bench, "start", "chromium", protocol->workload);
    int err = bench_server_start(bench, CONNECTIONS, settings, &server);
    if (err < 0)
        return err;
    http_get_init(&get, &server->address);
    snprintf(page, sizeof page,
             "<!doctype html><title>Ringside</title><script>const at = 'https://127.0.0.1:%u/'; "
             "fetch(at).finally(() => { for (let i = 0; i < %u; i++) "
             "new EventSource(at + 'sse?channel=page') })</script>\n",
             ntohs(server->tls_address.sin_port), bench->options->subscribers);
    err = browser_open(bench, &browser, path, page);
    watch_phase(bench, "page", "chromium", protocol->workload);
    if (err == 0)
        err = watch_streams(bench, &browser, &get, ret);
    browser_close(&browser);
    http_get_done(&get);
    return err;
}

static int run(struct bench *bench)
{
    char path[BROWSER_PATH_MAX], version[BROWSER_VERSION_MAX];
    struct page_seen seen = {0};
    if (bench->options->address)
        return bench_fail(-EINVAL, "page starts its own servers: --address is of no use");
    int err = browser_find(path, version);
    for (unsigned i = 0; err == 0 && i < PROTOCOLS_OF_PAGE; i++) {
        err = visit(bench, &protocols[i], path, &seen);
        if (err == 0)
            take(bench, &protocols[i], version, &seen);
    }
    return err;
}

const struct experiment experiment_page = {
    .name = "page",
    .use = {page_options, "How many event streams a page of a real browser has at one time.",
            "A headless Chromium opens a page with --subscribers EventSources, over HTTP/1.1 and "
            "over HTTP/2; the server says how many there are, and on how many connections, when "
            "nothing has changed for --seconds.\n\n"
            "  ringside-bench page\n"
            "  ringside-bench page --subscribers 100"},
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
