#include "experiment/capacity_step.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/capacity_plan.h"
#include "measure/clock.h"
#include "output/figure.h"
#include "measure/memory.h"

enum {
    RAMP_SPARE_S = 30,
    RAMP_LEAST_PER_S = 1000, /* slower than this, a ramp has failed */
    SLAB_PATIENCE_MS = 5000,
};

/* ---- what a stage costs ---- */

struct stage_mark {
    int64_t now_ns, client_ns;
    struct strain_mark strain;
    struct strain_cost cost; /* once it has ended */
};

static struct stage_mark stage_begin(const struct climb *climb, struct capacity_evidence *evidence,
                                     enum capacity_stage stage, double allowed_s)
{
    evidence->stage = stage;
    evidence->allowed_s = allowed_s;
    struct stage_mark mark = {
        .now_ns = clock_now_ns(),
        .client_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
    };
    strain_begin(&mark.strain, &climb->server->process, climb->bench->options->server_cpus,
                 climb->bench->options->client_cpus);
    return mark;
}

/* Returns the seconds that it took. */
static double stage_end(const struct climb *climb, struct capacity_evidence *evidence,
                        struct stage_mark *mark)
{
    struct strain strain;
    double elapsed_ns = (double)(clock_now_ns() - mark->now_ns);
    strain_end(&mark->strain, &strain);
    int64_t server_ns = strain_charged_ns(&strain.cost);
    mark->cost = strain.cost;
    int64_t client_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - mark->client_ns;
    if (climb->server->cpus > 0)
        evidence->server_share = (double)server_ns / elapsed_ns / climb->server->cpus;
    evidence->client_share = (double)client_ns / elapsed_ns;
    evidence->elapsed_s = elapsed_ns / NS_PER_S;
    evidence->up = load_up(climb->field.load, 0);
    return evidence->elapsed_s;
}

/* Whether a stage went wrong by itself. */
static bool broke(const struct climb *climb, const struct capacity_evidence *evidence, int err)
{
    return err < 0 || evidence->up < evidence->wanted || climb->bench->watch.memory_low;
}

/* ---- the stages; each returns what the load returned ---- */

static int ramp(struct climb *climb, struct capacity_evidence *evidence)
{
    struct load *load = climb->field.load;
    struct contestant *contestant = climb->contestant;
    uint32_t more = evidence->wanted - load_up(load, 0);
    int64_t allowed_s = RAMP_SPARE_S + more / RAMP_LEAST_PER_S;
    const struct load_ramp_config config = {
        .in_flight = RAMP_IN_FLIGHT,
        .count = field_links(&climb->field, 0, more),
        .timeout_ns = allowed_s * NS_PER_S,
    };
    watch_phase(climb->bench, "ramp", contestant->name, contestant->workload);
    struct stage_mark mark = stage_begin(climb, evidence, STAGE_RAMP, (double)allowed_s);
    int err = load_idle(load, NS_PER_MS, LOAD_ALL); /* a ramp is timed from where the load stands */
    if (err == 0)
        err = load_ramp(load, 0, &config, &contestant->connect);
    stage_end(climb, evidence, &mark);
    contestant->has_connect = true;
    contestant->connections = load_links_up(load, 0);
    contestant->subscribers = evidence->up;
    return err;
}

static void measure_memory(struct climb *climb)
{
    struct slab *now = malloc(sizeof *now);
    struct memory_growth *memory = calloc(1, sizeof *memory);
    assert(now && memory);
    uint64_t rss = process_rss_bytes(&climb->server->process);
    memory->known = climb->rss_before > 0 && rss > 0;
    memory->user_bytes = (int64_t)rss - (int64_t)climb->rss_before;
    memory->kernel_known = climb->slab_before && slab_read(now) == 0;
    if (memory->kernel_known)
        slab_growth(&memory->slab, climb->slab_before, now);
    climb->contestant->memory = memory;
    free(now);
}

static int hold(struct climb *climb, struct capacity_evidence *evidence)
{
    struct contestant *contestant = climb->contestant;
    uint32_t seconds = climb->bench->options->seconds;
    const struct process *process = &climb->server->process;
    watch_phase(climb->bench, "idle", contestant->name, contestant->workload);
    watch_lasts(climb->bench, (int64_t)seconds * NS_PER_S);
    struct stage_mark mark = stage_begin(climb, evidence, STAGE_HOLD, seconds);
    int err = load_idle(climb->field.load, (int64_t)seconds * NS_PER_S, LOAD_ALL);
    double elapsed_s = stage_end(climb, evidence, &mark);
    if (process->pid > 0) {
        contestant_figure(contestant, "idle",
                          json_pack("{s:f, s:o}", "elapsed_s", elapsed_s, "server_cpu_s",
                                    figure_seconds(strain_own_ns(&mark.cost))));
    }
    measure_memory(climb);
    return err;
}

/* The first message to those that are new begins their ledgers; the second is the one that counts.
 */
static int broadcast(struct climb *climb, struct capacity_evidence *evidence)
{
    static const struct load_mode once = {.depth = 1, .messages = 1};
    struct contestant *contestant = climb->contestant;
    int64_t allowed_ns = (int64_t)climb->bench->options->broadcast_s * NS_PER_S;
    double allowed_s = climb->bench->options->broadcast_s;
    watch_phase(climb->bench, "settle", contestant->name, contestant->workload);
    struct stage_mark mark = stage_begin(climb, evidence, STAGE_BROADCAST, allowed_s);
    int err = load_settle(climb->field.load, 0, allowed_ns);
    evidence->stalled = err == -ETIMEDOUT;
    if (err == 0) {
        watch_phase(climb->bench, "broadcast", contestant->name, contestant->workload);
        err = field_turn(&climb->field, 0, &once, allowed_ns, 0, contestant);
    }
    stage_end(climb, evidence, &mark);
    if (contestant->turn_count > 0)
        evidence->missing = contestant->turns[contestant->turn_count - 1].load.missing;
    return err;
}

static int stages(struct climb *climb, struct capacity_evidence *evidence)
{
    int err = ramp(climb, evidence);
    if (broke(climb, evidence, err))
        return err;
    err = hold(climb, evidence);
    if (broke(climb, evidence, err))
        return err;
    err = broadcast(climb, evidence);
    if (!broke(climb, evidence, err) && evidence->missing == 0 &&
        load_ledger_faults(&climb->contestant->ledger) == 0)
        evidence->stage = STAGE_WHOLE;
    return err;
}

/* ---- a step ---- */

/* Long polls are between two connections now and then: what they lose is no loss. */
static void take_failures(struct climb *climb, struct capacity_evidence *evidence)
{
    field_failures(&climb->field, 0, climb->contestant);
    if (climb->contestant->closes > 0 && evidence->stage == STAGE_WHOLE)
        evidence->stage = STAGE_BROADCAST;
}

static void take_counters(struct climb *climb, const struct capacity_counters *before)
{
    struct capacity_counters after, growth;
    struct contestant *contestant = climb->contestant;
    counters_read(&after, &climb->metrics);
    counters_growth(&growth, before, &after);
    contestant->counters = counters_json(&growth);
    /* That TCP held at one time, sampled each second. */
    json_object_set_new(contestant->counters, "sockstat:tcp_mem_most",
                        json_integer((json_int_t)climb->bench->watch.tcp_pages_most));
    for (int i = 0; i < LOAD_ERRNO_MAX; i++) {
        char name[COUNTER_NAME_MAX];
        const char *errno_name = strerrorname_np(i);
        if (contestant->connect.errors[i] == 0)
            continue;
        snprintf(name, sizeof name, "connect:%s", errno_name ? errno_name : "an unknown errno");
        json_object_set_new(contestant->counters, name,
                            json_integer(contestant->connect.errors[i]));
    }
}

static json_t *of_evidence(const struct capacity_evidence *evidence,
                           const struct contestant *contestant)
{
    static const char *const stages[] = {"whole", "ramp", "hold", "broadcast"};
    json_t *object = json_pack(
        "{s:s, s:i, s:i, s:f, s:f, s:b, s:I, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "stage",
        stages[evidence->stage], "wanted", (int)evidence->wanted, "up", (int)evidence->up,
        "elapsed_s", evidence->elapsed_s, "allowed_s", evidence->allowed_s, "stalled",
        evidence->stalled, "missing", (json_int_t)evidence->missing, "server_ended",
        evidence->server_ended, "publisher_down", evidence->publisher_down, "memory_low",
        evidence->memory_low, "memory_available_bytes", figure_count(memory_available_bytes()),
        "closes", figure_count(contestant->closes), "faults",
        figure_count(load_ledger_faults(&contestant->ledger)), "client_cpu_share",
        figure_number(evidence->client_share, 1e-4));
    if (evidence->server_share >= 0)
        json_object_set_new(object, "server_cpu_share",
                            figure_number(evidence->server_share, 1e-4));
    return object;
}

int climb_step(struct climb *climb, uint32_t connections, struct capacity_evidence *ret)
{
    struct capacity_counters before;
    char workload[RESULT_NAME_MAX];
    *ret = (struct capacity_evidence){
        .wanted = connections,
        .server_share = -1,
    };
    snprintf(workload, sizeof workload, "%u connections", connections);
    climb->contestant = field_contestant(&climb->field, 0, workload);
    climb->bench->watch.tcp_pages_most = memory_tcp_pages();
    counters_read(&before, &climb->metrics);
    int err = stages(climb, ret);
    take_counters(climb, &before);
    ret->memory_low = climb->bench->watch.memory_low;
    ret->server_ended = climb->server->process.pid > 0 && !process_alive(&climb->server->process);
    ret->publisher_down = err == -ENOTCONN;
    struct memory_growth *memory = climb->contestant->memory;
    uint64_t peak = process_peak_bytes(&climb->server->process);
    if (memory && climb->rss_before > 0 && peak > climb->rss_before)
        memory->peak_bytes = (int64_t)(peak - climb->rss_before);
    take_failures(climb, ret);
    contestant_figure(climb->contestant, "evidence", of_evidence(ret, climb->contestant));
    return err == -EINTR && !ret->memory_low ? err : 0;
}

/* ---- a climb ---- */

int climb_begin(struct climb *climb, struct bench *bench, const struct way *way, uint32_t top)
{
    char heartbeat[64];
    const char *extra[2] = {NULL};
    *climb = (struct climb){.bench = bench, .metrics.fd = -1};
    snprintf(heartbeat, sizeof heartbeat, "heartbeat_ms=%u", bench->options->heartbeat_ms);
    if (bench->options->heartbeat_ms > 0)
        extra[0] = heartbeat;
    field_init(&climb->field, bench);
    climb->field.drain_ns = (int64_t)bench->options->broadcast_s * NS_PER_S;
    int err = bench_server_start(bench, top, extra, &climb->server);
    if (err < 0)
        return err;
    http_get_init(&climb->metrics, &climb->server->address);
    err = field_add_way(&climb->field, way, climb->server, top);
    if (err == 0)
        err = field_create(&climb->field);
    if (err < 0)
        return err;
    climb->slab_before = malloc(sizeof *climb->slab_before);
    assert(climb->slab_before);
    if (slab_read_calm(climb->slab_before, SLAB_PATIENCE_MS) < 0) {
        free(climb->slab_before);
        climb->slab_before = NULL;
    }
    climb->rss_before = process_rss_bytes(&climb->server->process);
    return 0;
}

void climb_end(struct climb *climb)
{
    http_get_done(&climb->metrics);
    field_close(&climb->field);
    if (climb->server)
        bench_server_stop(climb->server); /* its trouble is said, and is a finding like others */
    free(climb->slab_before);
    climb->slab_before = NULL;
}
