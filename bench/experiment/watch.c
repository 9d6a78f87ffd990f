/* watch: what is seen of a run while it goes on, and the timeline of its result.
 *
 * The load calls watch_progress between two steps. Four times a second, on a terminal, that reads
 * two clocks and some counters and copies them to the thread that draws; once a second it looks at
 * memory too. Latencies are taken when a turn is over. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "experiment/witness.h"
#include "measure/clock.h"
#include "measure/memory.h"
#include "measure/slab.h"
#include "output/screen.h"
#include "output/number.h"

enum {
    PERIOD_VIEW_MS = 250,
    PERIOD_MS = 1000,
    WATCH_LINE_MAX = 1024,
};

/* Without a terminal, a line for each phase and one now and then is enough. */
static const int64_t SAY_EVERY_NS = (int64_t)5 * NS_PER_S;

/* Less than that is no estimate. */
static const int64_t ESTIMATE_FROM_NS = NS_PER_S;

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
    *watch = (struct watch){
        .show = options->show,
        .phase = "start",
        .said_ns = clock_now_ns(),
        .sampled_ns = clock_now_ns(),
        .client_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
        .sample_every_ns = NS_PER_S,
        .view = {.share = -1, .left_s = -1},
    };
    snprintf(watch->view.experiment, sizeof watch->view.experiment, "%s", bench->result.experiment);
    snprintf(watch->view.server_cpus, CPUS_TEXT_MAX, "%s",
             options->address ? "" : options->server_cpus);
    snprintf(watch->view.client_cpus, CPUS_TEXT_MAX, "%s", options->client_cpus);
    aside_cpus(options, &watch->aside);
    if (watch->show == SHOW_VIEW && screen_begin(&watch->aside) < 0)
        watch->show = SHOW_LINES;
}

uint32_t watch_period_ms(const struct bench *bench)
{
    bool often = bench->watch.show == SHOW_VIEW || bench->watch.sample_every_ns < NS_PER_S;
    return often ? PERIOD_VIEW_MS : PERIOD_MS;
}

/* ---- how far it is ---- */

/* A turn that goes on counts as far as it is. */
static double turns_so_far(const struct watch *watch, int64_t in_phase_ns)
{
    double part = watch->phase_ns > 0 ? (double)in_phase_ns / (double)watch->phase_ns : 0;
    if (watch->turns_done == watch->turns_ahead)
        part = 0;
    return watch->turns_done + (part < 1 ? part : 1);
}

static void estimate_turns(struct watch *watch, int64_t now_ns)
{
    struct view_state *view = &watch->view;
    char done[NUMBER_TEXT_MAX], all[NUMBER_TEXT_MAX];
    int64_t in_turns_ns = now_ns - watch->turns_since_ns;
    double turns = turns_so_far(watch, now_ns - watch->phase_since_ns);
    view->share = turns / watch->turns_ahead;
    if (turns > 0 && in_turns_ns > ESTIMATE_FROM_NS)
        view->left_s = (double)in_turns_ns / NS_PER_S / turns * (watch->turns_ahead - turns);
    snprintf(view->progress, sizeof view->progress, "%s of %s turns",
             number_grouped(done, watch->turns_done), number_grouped(all, watch->turns_ahead));
}

static void estimate_time(struct watch *watch, int64_t done_ns, int64_t all_ns)
{
    struct view_state *view = &watch->view;
    view->share = (double)done_ns / (double)all_ns;
    view->left_s = done_ns < all_ns ? (double)(all_ns - done_ns) / NS_PER_S : 0;
    snprintf(view->progress, sizeof view->progress, "%.40s", watch->phase);
}

/* A ramp by its connections, else the run by its time or its turns, else the phase by its time. */
static void estimate(struct watch *watch, int64_t now_ns)
{
    struct view_state *view = &watch->view;
    view->share = view->left_s = -1;
    view->progress[0] = '\0';
    if (strcmp(watch->phase, "ramp") == 0 && view->clients > 0) {
        view->share = (double)view->connections / view->clients;
        if (view->connects_per_s > 0)
            view->left_s = (view->clients - view->connections) / view->connects_per_s;
        snprintf(view->progress, sizeof view->progress, "connecting");
    } else if (watch->rest_ns > 0) {
        estimate_time(watch, now_ns - watch->rest_since_ns, watch->rest_ns);
    } else if (watch->turns_done < watch->turns_ahead ||
               (watch->turns_ahead > 0 && watch->phase_ns == 0)) {
        estimate_turns(watch, now_ns);
    } else if (watch->phase_ns > 0) {
        estimate_time(watch, now_ns - watch->phase_since_ns, watch->phase_ns);
    }
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

/* ---- showing ---- */

static void say(struct bench *bench, bool figures, int64_t now_ns)
{
    char line[WATCH_LINE_MAX];
    bench->watch.said_ns = now_ns;
    view_line(&bench->watch.view, figures, line, sizeof line);
    puts(line);
    fflush(stdout);
}

static void show(struct bench *bench, int64_t now_ns)
{
    struct watch *watch = &bench->watch;
    watch->view.elapsed_s = (double)(now_ns - bench->result.started_ns) / NS_PER_S;
    estimate(watch, now_ns);
    switch (watch->show) {
    case SHOW_VIEW:
        screen_show(&watch->view);
        break;
    case SHOW_LINES:
        if (now_ns - watch->said_ns >= SAY_EVERY_NS)
            say(bench, true, now_ns);
        break;
    case SHOW_NOTHING:
        break;
    }
}

void watch_phase(struct bench *bench, const char *phase, const char *contestant, const char *detail)
{
    struct watch *watch = &bench->watch;
    struct view_state *view = &watch->view;
    int64_t now_ns = clock_now_ns();
    bool changed = strcmp(watch->phase, phase) != 0;
    watch->phase = phase;
    watch->phase_since_ns = now_ns;
    watch->phase_ns = 0;
    snprintf(watch->contestant, sizeof watch->contestant, "%s", contestant ? contestant : "");
    snprintf(view->phase, sizeof view->phase, "%s", phase);
    snprintf(view->contestant, sizeof view->contestant, "%s", watch->contestant);
    snprintf(view->detail, sizeof view->detail, "%s", detail ? detail : "");
    show(bench, now_ns);
    if (changed && watch->show == SHOW_LINES)
        say(bench, false, now_ns);
}

/* The contestant's line, or a new one; when all are taken, that of the oldest. */
static struct view_row *row_of(struct view_state *view, const char *name, const char *workload)
{
    unsigned at = 0;
    while (at < view->row_count && (strcmp(view->rows[at].name, name) != 0 ||
                                    strcmp(view->rows[at].workload, workload) != 0))
        at++;
    if (at == VIEW_ROWS_MAX) {
        at = VIEW_ROWS_MAX - 1;
        memmove(&view->rows[0], &view->rows[1], at * sizeof view->rows[0]);
    }
    if (view->row_count <= at)
        view->row_count = at + 1;
    view->row_last = at;
    struct view_row *row = &view->rows[at];
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->workload, sizeof row->workload, "%s", workload);
    return row;
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

static void list_turn(struct view_state *view, const char *name, const struct turn *turn,
                      const struct contestant *contestant)
{
    double elapsed_s = (double)turn->load.elapsed_ns / NS_PER_S;
    struct view_row *row = row_of(view, name, contestant ? contestant->workload : "");
    row->deliveries_per_s = (double)turn->load.deliveries / elapsed_s;
    row->server_cpu = (double)turn->server_cpu_ns / NS_PER_S / elapsed_s;
    row->p50_ns = turn->p50_ns;
    row->p99_ns = turn->p99_ns;
    row->ratio = contestant ? ratio_to_ceiling(contestant, row->deliveries_per_s) : 0;
    row->client_bound = contestant && contestant->server_cpus > 0 &&
                        turn_saturated(turn, contestant->server_cpus) == SATURATED_CLIENT;
}

void watch_turn(struct bench *bench, const char *name, const struct turn *turn,
                const struct contestant *contestant)
{
    struct watch *watch = &bench->watch;
    struct view_state *view = &watch->view;
    watch->turns_done += watch->turns_done < watch->turns_ahead;
    watch->phase_ns = 0;
    view->p50_ns = turn->p50_ns;
    view->p99_ns = turn->p99_ns;
    view->p999_ns = turn->p999_ns;
    view->ledger_faults = result_ledger_faults(&bench->result);
    if (name && turn->load.elapsed_ns > 0)
        list_turn(view, name, turn, contestant);
    show(bench, clock_now_ns());
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

static void take_failures(struct view_state *view, const struct bench *bench, struct load *load)
{
    memset(view->failures, 0, sizeof view->failures);
    for (unsigned group = 0; group < bench->group_count; group++)
        for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
            view->failures[reason] += load_counters(load, group)->closes[reason] +
                                      load_counters(load, group)->failures[reason];
}

/* Rates since the oldest reading that is kept. A load that was made anew counts from zero, as do
 * servers. */
static void take_reading(struct bench *bench, struct load *load, const struct watch_reading *now)
{
    struct watch *watch = &bench->watch;
    struct view_state *view = &watch->view;
    unsigned kept = watch->show == SHOW_VIEW ? WATCH_READINGS : 2;
    watch->readings[watch->reading_count++ % kept] = *now;
    const struct watch_reading *then =
        &watch->readings[watch->reading_count < kept ? 0 : watch->reading_count % kept];
    int64_t elapsed_ns = now->now_ns - then->now_ns;
    view->connections = now->connections;
    view->clients = load_clients(load, LOAD_ALL);
    view->connects_per_s =
        per_second((double)now->connections - (double)then->connections, elapsed_ns);
    view->deliveries_per_s =
        per_second((double)now->deliveries - (double)then->deliveries, elapsed_ns);
    view->server_cpu =
        per_second((double)(now->server_cpu_ns - then->server_cpu_ns), elapsed_ns) / NS_PER_S;
    view->client_cpu =
        per_second((double)(now->client_cpu_ns - then->client_cpu_ns), elapsed_ns) / NS_PER_S;
    take_failures(view, bench, load);
}

static void push(struct view_state *view, const struct sample *sample)
{
    const double values[CURVE_COUNT] = {
        [CURVE_DELIVERIES] = sample->deliveries_per_s,
        [CURVE_SERVER_CPU] = sample->server_cpu,
        [CURVE_CLIENT_CPU] = sample->client_cpu,
    };
    bool full = view->history_count == VIEW_HISTORY;
    for (int curve = 0; curve < CURVE_COUNT; curve++) {
        float *history = view->history[curve];
        if (full)
            memmove(history, history + 1, (VIEW_HISTORY - 1) * sizeof *history);
        history[full ? VIEW_HISTORY - 1 : view->history_count] = (float)values[curve];
    }
    view->history_count += !full;
    view->rss_bytes = sample->rss_bytes;
    view->slab_bytes = sample->slab_bytes;
    view->available_bytes = memory_available_bytes();
    if (sample->p50_ns > 0) { /* else those of the last turn stand */
        view->p50_ns = sample->p50_ns;
        view->p99_ns = sample->p99_ns;
        view->p999_ns = 0;
    }
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
    push(&watch->view, &sample);
}

bool watch_progress(void *context, struct load *load)
{
    struct bench *bench = context;
    struct watch *watch = &bench->watch;
    struct watch_reading now;
    bench->load = load;
    read_now(bench, load, &now);
    take_reading(bench, load, &now);
    if (now.now_ns - watch->sampled_ns >= watch->sample_every_ns * 9 / 10)
        take_sample(bench, &now);
    show(bench, now.now_ns);
    return may_go_on(watch);
}
