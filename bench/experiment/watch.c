/* watch: one line that changes on a terminal, plain lines elsewhere, and the timeline of the
 * result. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "experiment/witness.h"
#include "measure/clock.h"
#include "measure/memory.h"
#include "measure/slab.h"
#include "output/table.h"

/* Without a terminal, a line for each phase and one now and then is enough. */
static const int64_t SAY_EVERY_NS = (int64_t)15 * NS_PER_S;

void watch_init(struct watch *watch)
{
    *watch = (struct watch){
        .phase = "start",
        .tty = isatty(STDOUT_FILENO),
        .sampled_ns = clock_now_ns(),
        .client_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
        .sample_every_ns = NS_PER_S,
    };
}

void watch_clear(struct watch *watch)
{
    if (watch->line_open)
        fputs("\r\033[K", stdout);
    watch->line_open = false;
    fflush(stdout);
}

static void say_phase(const struct bench *bench)
{
    const struct watch *watch = &bench->watch;
    printf("[%5.1f s] %s%s%s%s%s\n", (double)(clock_now_ns() - bench->result.started_ns) / NS_PER_S,
           watch->phase, watch->contestant[0] ? " " : "", watch->contestant,
           watch->detail[0] ? ", " : "", watch->detail);
    fflush(stdout);
}

void watch_phase(struct bench *bench, const char *phase, const char *contestant, const char *detail)
{
    struct watch *watch = &bench->watch;
    bool changed = strcmp(watch->phase, phase) != 0;
    watch->phase = phase;
    snprintf(watch->contestant, sizeof watch->contestant, "%s", contestant ? contestant : "");
    snprintf(watch->detail, sizeof watch->detail, "%s", detail ? detail : "");
    if (!watch->tty && changed) {
        watch->said_ns = clock_now_ns();
        say_phase(bench);
    }
}

static void show(struct bench *bench, const struct sample *sample)
{
    struct watch *watch = &bench->watch;
    char connections[TABLE_NUMBER_MAX], rate[TABLE_NUMBER_MAX];
    int64_t now = clock_now_ns();
    if (!watch->tty && now - watch->said_ns < SAY_EVERY_NS)
        return;
    watch->said_ns = now;
    printf("%s[%5.1f s] %s %s%s%s  %s connected  %s deliveries/s  CPU: server %.2f, client %.2f%s",
           watch->tty ? "\r\033[K" : "", sample->t_s, watch->phase, watch->contestant,
           watch->detail[0] ? ", " : "", watch->detail,
           number_grouped(connections, sample->connections),
           number_short(rate, sample->deliveries_per_s), sample->server_cpu, sample->client_cpu,
           watch->tty ? "" : "\n");
    watch->line_open = watch->tty;
    fflush(stdout);
}

static uint64_t deliveries_so_far(const struct bench *bench)
{
    uint64_t sum = 0;
    for (unsigned group = 0; group < bench->group_count; group++)
        sum += load_counters(bench->load, group)->deliveries;
    return sum;
}

static double per_second(double difference, int64_t elapsed_ns)
{
    return difference > 0 && elapsed_ns > 0 ? difference * NS_PER_S / (double)elapsed_ns : 0;
}

static void see_tcp_pages(struct watch *watch)
{
    uint64_t pages = memory_tcp_pages();
    if (pages > watch->tcp_pages_most)
        watch->tcp_pages_most = pages;
}

static bool may_go_on(struct watch *watch)
{
    uint64_t available = watch->memory_least > 0 ? memory_available_bytes() : 0;
    if (available > 0 && available < watch->memory_least)
        watch->memory_low = true;
    return !watch->memory_low && !bench_interrupted();
}

bool watch_progress(void *context, struct load *load)
{
    struct bench *bench = context;
    struct watch *watch = &bench->watch;
    int64_t now = clock_now_ns();
    int64_t elapsed_ns = now - watch->sampled_ns;
    if (elapsed_ns < watch->sample_every_ns * 9 / 10)
        return may_go_on(watch);

    see_tcp_pages(watch);
    bench->load = load;
    uint64_t deliveries = deliveries_so_far(bench);
    int64_t client_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t server_cpu_ns = 0;
    struct sample sample = {
        .t_s = (double)(now - bench->result.started_ns) / NS_PER_S,
        .phase = watch->phase,
        .connections = load_up(load, LOAD_ALL),
        .slab_bytes = slab_total_bytes(),
    };
    for (unsigned i = 0; i < bench->server_count; i++) {
        server_cpu_ns += process_cpu_ns(&bench->servers[i].process);
        sample.rss_bytes += process_rss_bytes_rough(&bench->servers[i].process);
    }
    snprintf(sample.contestant, sizeof sample.contestant, "%s", watch->contestant);
    sample.deliveries_per_s =
        per_second((double)deliveries - (double)watch->deliveries, elapsed_ns);
    sample.server_cpu =
        per_second((double)(server_cpu_ns - watch->server_cpu_ns), elapsed_ns) / NS_PER_S;
    sample.client_cpu =
        per_second((double)(client_cpu_ns - watch->client_cpu_ns), elapsed_ns) / NS_PER_S;
    watch->sampled_ns = now;
    watch->deliveries = deliveries;
    watch->server_cpu_ns = server_cpu_ns;
    watch->client_cpu_ns = client_cpu_ns;
    if (watch->witness)
        witness_lately(watch->witness, &sample.p50_ns, &sample.p99_ns);
    result_sample(&bench->result, &sample);
    show(bench, &sample);
    return may_go_on(watch);
}
