#include "experiment/gauges.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/clock.h"
#include "measure/http_get.h"
#include "measure/memory.h"

static const int64_t LOOK_NS = (int64_t)100 * NS_PER_MS;

struct gauges {
    pthread_t thread;
    atomic_bool stopping;
    struct http_get get;
    const struct process *process;
    int64_t start_ns;
    uint64_t rss_before, tcp_before;
    struct capacity_counters before;
    bool begun; /* `before` has been read */
    struct gauges_seen seen;
};

static void raise_to(uint64_t *most, uint64_t value)
{
    if (value > *most)
        *most = value;
}

static uint64_t tcp_bytes(void)
{
    return memory_tcp_pages() * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t since(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

static void see_growth(struct gauges *gauges, const char *text)
{
    struct capacity_counters now = {0};
    int64_t at_ns = clock_now_ns() - gauges->start_ns;
    counters_take_metrics(&now, text);
    if (!gauges->begun)
        gauges->before = now;
    gauges->begun = true;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        struct gauges_growth *growth = &gauges->seen.growth[i];
        uint64_t count = since(gauges->before.values[i], now.values[i]);
        if (count == growth->count)
            continue;
        if (growth->count == 0)
            growth->first_ns = at_ns;
        growth->last_ns = at_ns;
        growth->count = count;
    }
}

static void look(struct gauges *gauges, char *text)
{
    static const char name[] = "\nringside_queue_bytes ";
    struct gauges_seen *seen = &gauges->seen;
    raise_to(&seen->rss_bytes, since(gauges->rss_before, process_rss_bytes_rough(gauges->process)));
    raise_to(&seen->tcp_bytes, since(gauges->tcp_before, tcp_bytes()));
    if (http_get(&gauges->get, "/metrics", text, HTTP_GET_METRICS_MAX) != 200)
        return;
    see_growth(gauges, text);
    const char *found = strstr(text, name);
    if (!found)
        return;
    seen->queue_last = strtoull(found + strlen(name), NULL, 10);
    raise_to(&seen->queue_bytes, seen->queue_last);
}

static void *run(void *context)
{
    struct gauges *gauges = context;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    char *text = malloc(HTTP_GET_METRICS_MAX);
    assert(text);
    while (!atomic_load_explicit(&gauges->stopping, memory_order_relaxed)) {
        look(gauges, text);
        nanosleep(&pause, NULL);
    }
    look(gauges, text);
    free(text);
    return NULL;
}

struct gauges *gauges_start(const struct sockaddr_in *address, const struct process *process)
{
    struct gauges *gauges = calloc(1, sizeof *gauges);
    assert(gauges);
    http_get_init(&gauges->get, address);
    gauges->process = process;
    gauges->start_ns = clock_now_ns();
    gauges->rss_before = process_rss_bytes_rough(process);
    gauges->tcp_before = tcp_bytes();
    int err = pthread_create(&gauges->thread, NULL, run, gauges);
    assert(err == 0);
    return gauges;
}

void gauges_stop(struct gauges *gauges, struct gauges_seen *ret)
{
    atomic_store_explicit(&gauges->stopping, true, memory_order_relaxed);
    pthread_join(gauges->thread, NULL);
    http_get_done(&gauges->get);
    *ret = gauges->seen;
    free(gauges);
}
