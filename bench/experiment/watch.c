/* watch: what is told of a run while it goes on, and the timeline of its result.
 *
 * The load calls watch_progress between two steps. Four times a second, on a terminal, that reads
 * two clocks and some counters and sends them to the process that draws (output/viewer.h); once a
 * second it looks at memory too. Latencies are taken when a turn is over. */
#include <stdio.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "experiment/witness.h"
#include "measure/clock.h"
#include "measure/memory.h"
#include "measure/slab.h"
#include "output/viewer.h"

enum {
    PERIOD_VIEW_MS = 250,
    PERIOD_MS = 1000,
};

/* ---- starting ---- */

/* Any CPU but the servers' and, where there are more, the clients'. */
static void aside_cpus(const struct options *options, cpu_set_t *ret)
{
    cpu_set_t server, client, all;
    CPU_ZERO(ret);
    if (sched_getaffinity(0, sizeof all, &all) < 0 ||
        cpus_parse(&server, options->server_cpus) < 0 ||
        cpus_parse(&client, options->client_cpus) < 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && !CPU_ISSET(cpu, &server) && !CPU_ISSET(cpu, &client))
            CPU_SET(cpu, ret);
    if (CPU_COUNT(ret) == 0)
        *ret = client;
}

void watch_init(struct bench *bench)
{
    struct watch *watch = &bench->watch;
    const struct options *options = bench->options;
    cpu_set_t aside;
    *watch = (struct watch){
        .show = options->show,
        .phase = "start",
        .sampled_ns = clock_now_ns(),
        .client_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
        .sample_every_ns = NS_PER_S,
    };
    aside_cpus(options, &aside);
    if (watch->show == SHOW_VIEW && !viewer_has_terminal())
        watch->show = SHOW_LINES;
    const char *const arguments[] = {
        watch->show == SHOW_VIEW ? "view" : "lines", bench->result.experiment,
        options->address ? "" : options->server_cpus, options->client_cpus, NULL};
    if (watch->show != SHOW_NOTHING && viewer_begin(&aside, arguments) < 0)
        watch->show = SHOW_NOTHING;
}

uint32_t watch_period_ms(const struct bench *bench)
{
    bool often = bench->watch.show == SHOW_VIEW || bench->watch.sample_every_ns < NS_PER_S;
    return often ? PERIOD_VIEW_MS : PERIOD_MS;
}

/* ---- showing ---- */

/* A time of the run, in seconds. */
static double seconds(const struct bench *bench, int64_t at_ns)
{
    return (double)(at_ns - bench->result.started_ns) / NS_PER_S;
}

/* Where the run is, and `what` has come, of which it takes over the reference; NULL: nothing. */
static void tell(struct bench *bench, const char *what, json_t *value)
{
    const struct watch *watch = &bench->watch;
    json_t *message = json_pack(
        "{s:f, s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:f, s:f, s:f}", "t",
        seconds(bench, clock_now_ns()), "phase", watch->phase, "contestant", watch->contestant,
        "detail", watch->detail, "phase_at", seconds(bench, watch->phase_since_ns), "phase_s",
        (double)watch->phase_ns / NS_PER_S, "turns_done", (int)watch->turns_done, "turns_ahead",
        (int)watch->turns_ahead, "turns_at", seconds(bench, watch->turns_since_ns), "rest_at",
        seconds(bench, watch->rest_since_ns), "rest_s", (double)watch->rest_ns / NS_PER_S);
    if (what)
        json_object_set_new(message, what, value);
    viewer_tell(message);
}

void watch_turns(struct bench *bench, unsigned count)
{
    struct watch *watch = &bench->watch;
    if (watch->turns_ahead == 0)
        watch->turns_since_ns = clock_now_ns();
    watch->turns_ahead += count;
}

void watch_lasts(struct bench *bench, int64_t duration_ns)
{
    bench->watch.phase_ns = duration_ns;
}

void watch_rest(struct bench *bench, int64_t duration_ns)
{
    bench->watch.rest_since_ns = clock_now_ns();
    bench->watch.rest_ns = duration_ns;
}

void watch_phase(struct bench *bench, const char *phase, const char *contestant, const char *detail)
{
    struct watch *watch = &bench->watch;
    watch->phase = phase;
    watch->phase_since_ns = clock_now_ns();
    watch->phase_ns = 0;
    snprintf(watch->contestant, sizeof watch->contestant, "%s", contestant ? contestant : "");
    snprintf(watch->detail, sizeof watch->detail, "%s", detail ? detail : "");
    if (watch->show != SHOW_NOTHING)
        tell(bench, NULL, NULL);
}

/* To the ceiling's last turn; 0: it has had none. */
static double ratio_to_ceiling(const struct contestant *contestant, double deliveries_per_s)
{
    const struct contestant *ceiling = contestant->ceiling;
    if (!ceiling || ceiling->turn_count == 0)
        return 0;
    const struct load_turn *last = &ceiling->turns[ceiling->turn_count - 1].load;
    return last->deliveries > 0
               ? deliveries_per_s * (double)last->elapsed_ns / NS_PER_S / (double)last->deliveries
               : 0;
}

static void list_turn(json_t *into, const char *name, const struct turn *turn,
                      const struct contestant *contestant)
{
    double elapsed_s = (double)turn->load.elapsed_ns / NS_PER_S;
    double deliveries_per_s = (double)turn->load.deliveries / elapsed_s;
    bool client_bound = contestant && contestant->server_cpus > 0 &&
                        turn_saturated(turn, contestant->server_cpus) == SATURATED_CLIENT;
    json_t *row =
        json_pack("{s:s, s:s, s:f, s:f, s:f, s:b}", "name", name, "workload",
                  contestant ? contestant->workload : "", "deliveries_per_s", deliveries_per_s,
                  "server_cpu", (double)turn->server_cpu_ns / NS_PER_S / elapsed_s, "ratio",
                  contestant ? ratio_to_ceiling(contestant, deliveries_per_s) : 0.0, "client_bound",
                  client_bound);
    json_object_update_new(into, row);
}

void watch_turn(struct bench *bench, const char *name, const struct turn *turn,
                const struct contestant *contestant)
{
    struct watch *watch = &bench->watch;
    watch->turns_done += watch->turns_done < watch->turns_ahead;
    watch->phase_ns = 0;
    if (watch->show == SHOW_NOTHING)
        return;
    json_t *told = json_pack("{s:I, s:I, s:I, s:I}", "p50_ns", (json_int_t)turn->p50_ns, "p99_ns",
                             (json_int_t)turn->p99_ns, "p999_ns", (json_int_t)turn->p999_ns,
                             "faults", (json_int_t)result_ledger_faults(&bench->result));
    if (name && turn->load.elapsed_ns > 0)
        list_turn(told, name, turn, contestant);
    tell(bench, "turn", told);
}

/* ---- reading ---- */

static double per_second(double difference, int64_t elapsed_ns)
{
    return difference > 0 && elapsed_ns > 0 ? difference * NS_PER_S / (double)elapsed_ns : 0;
}

static void read_now(const struct bench *bench, struct load *load, struct watch_reading *ret)
{
    *ret = (struct watch_reading){
        .now_ns = clock_now_ns(),
        .client_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
        .connections = load_up(load, LOAD_ALL),
    };
    for (unsigned group = 0; group < bench->group_count; group++)
        ret->deliveries += load_counters(load, group)->deliveries;
    for (unsigned i = 0; i < bench->server_count; i++)
        ret->server_cpu_ns += process_cpu_ns(&bench->servers[i].process);
}

static json_t *failures(const struct bench *bench, struct load *load)
{
    json_t *named = json_object();
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++) {
        uint64_t count = 0;
        for (unsigned group = 0; group < bench->group_count; group++)
            count += load_counters(load, group)->closes[reason] +
                     load_counters(load, group)->failures[reason];
        if (count > 0)
            json_object_set_new(named, load_failure_name((enum load_failure)reason),
                                json_integer((json_int_t)count));
    }
    return named;
}

static void tell_reading(struct bench *bench, struct load *load, const struct watch_reading *now)
{
    tell(bench, "reading",
         json_pack("{s:i, s:i, s:I, s:f, s:f, s:o}", "connections", (int)now->connections,
                   "clients", (int)load_clients(load, LOAD_ALL), "deliveries",
                   (json_int_t)now->deliveries, "server_cpu_s",
                   (double)now->server_cpu_ns / NS_PER_S, "client_cpu_s",
                   (double)now->client_cpu_ns / NS_PER_S, "failures", failures(bench, load)));
}

static void tell_sample(struct bench *bench, const struct sample *sample)
{
    tell(bench, "sample",
         json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "deliveries_per_s",
                   sample->deliveries_per_s, "server_cpu", sample->server_cpu, "client_cpu",
                   sample->client_cpu, "rss_bytes", (json_int_t)sample->rss_bytes, "slab_bytes",
                   (json_int_t)sample->slab_bytes, "available_bytes",
                   (json_int_t)memory_available_bytes(), "p50_ns", (json_int_t)sample->p50_ns,
                   "p99_ns", (json_int_t)sample->p99_ns));
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

static void take_sample(struct bench *bench, const struct watch_reading *now)
{
    struct watch *watch = &bench->watch;
    int64_t elapsed_ns = now->now_ns - watch->sampled_ns;
    struct sample sample = {
        .t_s = (double)(now->now_ns - bench->result.started_ns) / NS_PER_S,
        .phase = watch->phase,
        .connections = now->connections,
        .slab_bytes = slab_total_bytes(),
        .deliveries_per_s =
            per_second((double)now->deliveries - (double)watch->deliveries, elapsed_ns),
        .server_cpu =
            per_second((double)(now->server_cpu_ns - watch->server_cpu_ns), elapsed_ns) / NS_PER_S,
        .client_cpu =
            per_second((double)(now->client_cpu_ns - watch->client_cpu_ns), elapsed_ns) / NS_PER_S,
    };
    for (unsigned i = 0; i < bench->server_count; i++)
        sample.rss_bytes += process_rss_bytes_rough(&bench->servers[i].process);
    snprintf(sample.contestant, sizeof sample.contestant, "%s", watch->contestant);
    watch->sampled_ns = now->now_ns;
    watch->deliveries = now->deliveries;
    watch->server_cpu_ns = now->server_cpu_ns;
    watch->client_cpu_ns = now->client_cpu_ns;
    if (watch->witness)
        witness_lately(watch->witness, &sample.p50_ns, &sample.p99_ns);
    see_tcp_pages(watch);
    result_sample(&bench->result, &sample);
    if (watch->show != SHOW_NOTHING)
        tell_sample(bench, &sample);
}

bool watch_progress(void *context, struct load *load)
{
    struct bench *bench = context;
    struct watch *watch = &bench->watch;
    struct watch_reading now;
    bench->load = load;
    read_now(bench, load, &now);
    if (watch->show != SHOW_NOTHING)
        tell_reading(bench, load, &now);
    if (now.now_ns - watch->sampled_ns >= watch->sample_every_ns * 9 / 10)
        take_sample(bench, &now);
    return may_go_on(watch);
}
