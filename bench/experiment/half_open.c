/* half-open: peers that vanish without a word. When are they found, by what name, who else notices,
 * and what is left of them?
 *
 *   others connected ─► a turn before ─► vanishing ones connect, and fall silent ─► a turn as long
 *   as the slowest of the documented times ─► what the server has closed, and when
 *
 * Memory is read before they connect, with them, when they are found, and when their own ends are
 * closed too: these are sockets of the same kernel.
 *
 * With --heartbeat-ms, the other two times are scaled as it is to its default. With --tls all of it
 * once more for each cipher, with a server of its own, and everybody over TLS. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/course.h"
#include "experiment/field.h"
#include "experiment/gauges.h"
#include "experiment/vanish.h"
#include "measure/clock.h"
#include "measure/memory.h"
#include "output/figure.h"
#include "output/number.h"

static const char VANISHED[] = "vanished"; /* what the workload of those who do begins with */
static const double NOTICED = 1.2;
/* Of the kernel's memory for both ends, and a filter on one. The rest is slack: closed sockets are
 * given back late, in whole slabs. */
static const double LEFT_WITH_ONE_END = 0.8, LEFT_WITH_NONE = 0.25;
/* What the wheel's ticks, the kernel's timers and the looks at /metrics may add to a time. */
static const int64_t SLACK_MS = 1500;

enum {
    HEARTBEAT_MS = 25000, /* the server's defaults */
    STALL_TIMEOUT_MS = 30000,
    HEAD_TIMEOUT_MS = 10000,
    LINGER_MS = 2000, /* for the 408 that nobody takes */
    MEMORY_OF = 300,  /* fewer peers are lost in what other programs do */
    CALM_STEP_MS = 150,
    CALM_MS = 5000,
    SETTING_MAX = 64,
    PERCENT = 100, /* other programs have such sockets too: one in a hundred is not ours to judge */
};

/* What becomes of a kind. */
struct fate {
    const char *name;
    enum capacity_counter counter;
    const char *reason;
};

static const struct fate fates[VANISH_COUNT] = {
    [VANISH_WEBSOCKET] = {"websocket", COUNTER_CLOSED_HEARTBEAT, "heartbeat"},
    [VANISH_SSE] = {"sse", COUNTER_CLOSED_STALLED, "stalled"},
    [VANISH_HALF_HEAD] = {"half a head", COUNTER_CLOSED_HEAD_TIMEOUT, "head_timeout"},
};

/* When memory is read. */
enum reading {
    BEFORE,
    WITH_THEM,
    FOUND,
    GONE,
    READINGS,
};
static const char *const readings[READINGS] = {
    [BEFORE] = "before",
    [WITH_THEM] = "with them",
    [FOUND] = "all found",
    [GONE] = "their own ends closed",
};

struct times {
    uint32_t heartbeat_ms, stall_ms, head_ms;
};

/* Peers of one kind, found by the server. */
struct reaped {
    uint32_t of;
    uint64_t closed;
    int64_t first_ns, last_ns; /* since they fell silent */
    int64_t bound_ns;          /* by when they should have been */
};

struct trial {
    struct bench *bench;
    const struct way *way;
    struct times times;
    struct field field;
    struct server *server;
    struct vanish *vanish;
    struct contestant *before, *during;
    struct course *course;
    struct reaped reaped[VANISH_COUNT];
    struct load_mode mode;
    double before_ns, during_ns; /* p99 */
    struct gauges_seen seen;
    uint64_t orphans; /* that the kernel still has of them */
};

static const enum option_id half_options[] = {
    OPTION_SUBSCRIBERS, OPTION_VANISHED, OPTION_SIZE,       OPTION_RATE,  OPTION_TURN_MS,
    OPTION_HEARTBEAT,   OPTION_TLS,      OPTION_TLS_CIPHER, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 1000;
    options->vanished = 900;
    options->rates[0] = 20;
    options->rate_count = 1;
    options->turn_ms = 10000;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

static struct times times_of(const struct options *options)
{
    uint32_t heartbeat_ms = options->heartbeat_ms ? options->heartbeat_ms : HEARTBEAT_MS;
    uint64_t scale = heartbeat_ms;
    return (struct times){
        .heartbeat_ms = heartbeat_ms,
        .stall_ms = (uint32_t)(scale * STALL_TIMEOUT_MS / HEARTBEAT_MS),
        .head_ms = (uint32_t)(scale * HEAD_TIMEOUT_MS / HEARTBEAT_MS),
    };
}

/* The documented time: after it, none of a kind may be left. */
static int64_t bound_ms(const struct times *times, enum vanish_kind kind)
{
    switch (kind) {
    case VANISH_WEBSOCKET:
        return 2 * (int64_t)times->heartbeat_ms;
    case VANISH_SSE:
        return (int64_t)times->heartbeat_ms + times->stall_ms;
    case VANISH_HALF_HEAD:
        return (int64_t)times->head_ms + LINGER_MS;
    case VANISH_COUNT:
        break;
    }
    return 0;
}

static int64_t longest_ms(const struct times *times)
{
    int64_t longest = 0;
    for (int kind = 0; kind < VANISH_COUNT; kind++) {
        int64_t bound = bound_ms(times, (enum vanish_kind)kind);
        longest = bound > longest ? bound : longest;
    }
    return longest + SLACK_MS;
}

/* ---- the run ---- */

static int start_server(struct trial *trial)
{
    const struct times *times = &trial->times;
    char texts[3][SETTING_MAX];
    const char *const settings[] = {texts[0], texts[1], texts[2], NULL};
    snprintf(texts[0], SETTING_MAX, "heartbeat_ms=%u", times->heartbeat_ms);
    snprintf(texts[1], SETTING_MAX, "stall_timeout_ms=%u", times->stall_ms);
    snprintf(texts[2], SETTING_MAX, "head_timeout_ms=%u", times->head_ms);
    const struct options *options = trial->bench->options;
    return bench_server_start(trial->bench, options->subscribers + options->vanished, settings,
                              &trial->server);
}

static int turn(struct trial *trial, struct contestant *into, int64_t duration_ms, double *p99_ns)
{
    watch_phase(trial->bench, into->workload, NULL, NULL);
    int err = field_turn(&trial->field, 0, &trial->mode, duration_ms * NS_PER_MS, 0, into);
    *p99_ns = (double)histogram_percentile(load_latency(trial->field.load, 0), 99);
    return err;
}

/* Closed sockets are given back late, and other programs have some too: waits until the caches are
 * calm. The others are served meanwhile. */
static int read_calm(struct trial *trial, struct slab *ret)
{
    const uint32_t turn_ms = trial->bench->options->turn_ms;
    const uint32_t patience_ms = turn_ms < CALM_MS ? turn_ms : CALM_MS;
    struct slab *last = calloc(1, sizeof *last);
    int err = 0;
    assert(last);
    slab_read(ret);
    for (uint32_t waited_ms = 0; err == 0 && waited_ms < patience_ms; waited_ms += CALM_STEP_MS) {
        *last = *ret;
        err = load_idle(trial->field.load, CALM_STEP_MS * NS_PER_MS, LOAD_ALL);
        if (slab_read(ret) < 0 || slab_calm(last, ret))
            break;
    }
    free(last);
    return err;
}

static int read_memory(struct trial *trial, enum reading reading)
{
    struct slab *slab = calloc(1, sizeof *slab);
    assert(slab);
    watch_phase(trial->bench, "calm", NULL, readings[reading]);
    int err = read_calm(trial, slab);
    if (err == 0)
        course_add(trial->course, readings[reading], process_rss_bytes(&trial->server->process),
                   slab);
    free(slab);
    return err;
}

/* From their silence until all should be found. */
static int wait_until_found(struct trial *trial)
{
    uint64_t orphans = memory_tcp_orphans();
    struct gauges *gauges = gauges_start(&trial->server->address, &trial->server->process);
    int err = vanish_silence(trial->vanish);
    if (err < 0)
        bench_fail(err, "the peers cannot be silenced: %s", strerror(-err));
    if (err == 0)
        err = read_memory(trial, WITH_THEM);
    if (err == 0)
        err = turn(trial, trial->during, longest_ms(&trial->times), &trial->during_ns);
    gauges_stop(gauges, &trial->seen);
    uint64_t left = memory_tcp_orphans();
    trial->orphans = left > orphans ? left - orphans : 0;
    return err;
}

static int vanish(struct trial *trial)
{
    int err = read_memory(trial, BEFORE);
    if (err < 0)
        return err;
    const bool tls = trial->way->tls;
    err = vanish_open(&trial->vanish, tls ? &trial->server->tls_address : &trial->server->address,
                      tls ? bench_tls_client(trial->bench, trial->way->cipher, &protocol_websocket)
                          : NULL,
                      trial->bench->options->vanished);
    if (err < 0)
        bench_fail(err, "the peers that are to vanish cannot be made: %s", strerror(-err));
    if (err == 0)
        err = wait_until_found(trial);
    if (err == 0)
        err = read_memory(trial, FOUND);
    if (err < 0)
        return err;
    vanish_end(trial->vanish);
    return read_memory(trial, GONE);
}

static int play(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    const struct way way = {&protocol_websocket, trial->way->tls, trial->way->cipher};
    char workload[RESULT_NAME_MAX];
    field_init(&trial->field, trial->bench);
    trial->field.memory_unread = true;
    int err = field_add_way(&trial->field, &way, trial->server, options->subscribers);
    trial->field.entrants[0].name = "others";
    if (err == 0)
        err = field_open(&trial->field);
    if (err < 0)
        return err;
    way_workload(workload, &way, "before");
    trial->before = field_contestant(&trial->field, 0, workload);
    way_workload(workload, &way, "during");
    trial->during = field_contestant(&trial->field, 0, workload);
    trial->course = course_create(options->vanished);
    watch_rest(trial->bench, (options->turn_ms + longest_ms(&trial->times)) * NS_PER_MS);
    err = turn(trial, trial->before, options->turn_ms, &trial->before_ns);
    return err == 0 ? vanish(trial) : err;
}

/* ---- what is said of it ---- */

static void take(struct trial *trial, enum vanish_kind kind)
{
    const struct fate *fate = &fates[kind];
    const struct gauges_growth *growth = &trial->seen.growth[fate->counter];
    char workload[RESULT_NAME_MAX];
    way_workload(workload, trial->way, VANISHED);
    struct contestant *into =
        result_add(&trial->bench->result, fate->name, workload, KIND_TRANSPORT);
    into->connections = vanish_of(trial->vanish, kind);
    struct reaped *reaped = &trial->reaped[kind];
    *reaped = (struct reaped){
        .of = into->connections,
        .closed = growth->count,
        .first_ns = growth->first_ns,
        .last_ns = growth->last_ns,
        .bound_ns = bound_ms(&trial->times, kind) * NS_PER_MS,
    };
    json_t *figure =
        json_pack("{s:s, s:o, s:o}", "reason", fate->reason, "closed", figure_count(reaped->closed),
                  "bound_s", figure_seconds(reaped->bound_ns));
    if (reaped->closed > 0) {
        json_object_set_new(figure, "first_s", figure_seconds(reaped->first_ns));
        json_object_set_new(figure, "last_s", figure_seconds(reaped->last_ns));
    }
    contestant_figure(into, "reaped", figure);
}

static void judge_found(const struct trial *trial)
{
    struct result *result = &trial->bench->result;
    char text[512] = "", claim[WAY_CLAIM_MAX];
    size_t len = 0;
    bool holds = true;
    for (int kind = 0; kind < VANISH_COUNT; kind++) {
        const struct reaped *reaped = &trial->reaped[kind];
        len += (size_t)snprintf(
            text + len, sizeof text - len, "%s%s: %lu of %u by %s, in %.1f to %.1f s of %.1f",
            len ? "; " : "", fates[kind].name, (unsigned long)reaped->closed, reaped->of,
            fates[kind].reason, (double)reaped->first_ns / NS_PER_S,
            (double)reaped->last_ns / NS_PER_S, (double)reaped->bound_ns / NS_PER_S);
        holds &= reaped->closed == reaped->of &&
                 reaped->last_ns <= reaped->bound_ns + SLACK_MS * NS_PER_MS;
    }
    result_verdict(
        result,
        way_claim(claim, trial->way, "Peers that vanish are found in the documented time, by name"),
        holds ? "holds" : "fails", "%s", text);
}

static void judge_rest(const struct trial *trial)
{
    struct result *result = &trial->bench->result;
    char before[NUMBER_TEXT_MAX], during[NUMBER_TEXT_MAX], claim[WAY_CLAIM_MAX];
    uint64_t faults =
        load_ledger_faults(&trial->before->ledger) + load_ledger_faults(&trial->during->ledger);
    uint64_t closes = trial->before->closes + trial->during->closes;
    double ratio = trial->before_ns > 0 ? trial->during_ns / trial->before_ns : 0;
    result_verdict(result, way_claim(claim, trial->way, "Nobody else notices peers that vanish"),
                   faults + closes == 0 && ratio < NOTICED ? "holds" : "fails",
                   "p99 %s before and %s during, %.2fx; %lu faults in the ledger",
                   number_time(before, trial->before_ns), number_time(during, trial->during_ns),
                   ratio, (unsigned long)faults);
    result_verdict(result, way_claim(claim, trial->way, "Nothing is left of peers that vanished"),
                   trial->orphans * PERCENT <= trial->bench->options->vanished ? "holds" : "fails",
                   "%lu sockets more on the machine that the kernel still tries to end",
                   (unsigned long)trial->orphans);
}

/* The server's lines stay, for the next who come. What the kernel had for them has to come back:
 * the server's ends when they are found, their own when these are closed. */
static void judge_memory(const struct trial *trial)
{
    const struct moment *moments = trial->course->moments;
    const uint32_t vanished = trial->bench->options->vanished;
    char texts[READINGS][NUMBER_TEXT_MAX], claim[WAY_CLAIM_MAX];
    bool known = vanished >= MEMORY_OF;
    double kernel[READINGS];
    for (int i = 0; i < READINGS; i++) {
        known &= moments[i].kernel_bytes >= 0;
        kernel[i] = fmax((double)moments[i].kernel_bytes, 0);
        number_bytes(texts[i], kernel[i]);
    }
    bool back = kernel[FOUND] < LEFT_WITH_ONE_END * kernel[WITH_THEM] &&
                kernel[GONE] < LEFT_WITH_NONE * kernel[WITH_THEM];
    double kept = (double)moments[FOUND].rss_bytes - (double)moments[BEFORE].rss_bytes;
    result_verdict(&trial->bench->result,
                   way_claim(claim, trial->way, "The memory of peers that vanished comes back"),
                   !known || kernel[WITH_THEM] <= 0 ? "not measured"
                   : back                           ? "holds"
                                                    : "fails",
                   "kernel: +%s with them, +%s when all were found, +%s when their own ends were "
                   "closed; the server keeps %.0f B each, for those who come next",
                   texts[WITH_THEM], texts[FOUND], texts[GONE], fmax(kept, 0) / vanished);
}

static void finish(struct trial *trial)
{
    char headline[128];
    double last = 0;
    for (int kind = 0; kind < VANISH_COUNT; kind++) {
        take(trial, (enum vanish_kind)kind);
        double at = (double)trial->seen.growth[fates[kind].counter].last_ns / NS_PER_S;
        last = at > last ? at : last;
    }
    field_failures(&trial->field, 0, trial->during);
    contestant_figure(trial->during, "course", course_json(trial->course));
    judge_found(trial);
    judge_rest(trial);
    judge_memory(trial);
    if (trial->way->tls)
        return; /* the headline is that of those without */
    snprintf(headline, sizeof headline, "%u peers that vanished: the last was found after %.1f s",
             trial->bench->options->vanished, last);
    trial->bench->result.headline = strdup(headline);
}

static int run_way(struct bench *bench, const struct way *way)
{
    struct trial trial = {.bench = bench, .way = way, .times = times_of(bench->options)};
    trial.mode.rate_per_s = bench->options->rates[0];
    int err = start_server(&trial);
    if (err == 0)
        err = play(&trial);
    if (err == 0)
        finish(&trial);
    field_close(&trial.field);
    vanish_free(trial.vanish);
    course_free(trial.course);
    if (trial.server) {
        int stopped = bench_server_stop(trial.server);
        err = err ? err : stopped;
        bench->server_count--;
    }
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct way ways[WAYS_ANY_MAX];
    const unsigned way_count = ways_of_any(options, ways);
    if (options->address)
        return bench_fail(-EINVAL, "half-open starts its own server, with times of its own");
    if (options->rate_count != 1 || options->vanished < VANISH_COUNT)
        return bench_fail(-EINVAL, "half-open takes one --rate, and %d vanishing peers or more",
                          VANISH_COUNT);
    bench->result.title = strdup("Peers that vanish without a word");
    int err = 0;
    for (unsigned w = 0; err == 0 && w < way_count; w++)
        err = run_way(bench, &ways[w]);
    return err;
}

const struct experiment experiment_half_open = {
    .name = "half-open",
    .use = {half_options, "Peers vanish without a word: when they are found, and who notices.",
            "WebSockets, SSE streams and half request heads stop answering on the level of TCP. "
            "The run lasts as long as the slowest of the documented times: a minute with the "
            "server's defaults, with --tls as long once more. Memory is read before, with them, "
            "and after.\n\n"
            "  ringside-bench half-open\n"
            "  ringside-bench half-open --heartbeat-ms 2000 --vanished 300"},
    .defaults = defaults,
    .run = run,
};
