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

static const char VANISHED[] = "vanished"; /* what the workload of those who do begins with */
/* What the wheel's ticks, the kernel's timers and the looks at /metrics may add to a time. */
static const int64_t SLACK_MS = 1500;

enum {
    HEARTBEAT_MS = 25000, /* the server's defaults */
    STALL_TIMEOUT_MS = 30000,
    HEAD_TIMEOUT_MS = 10000,
    LINGER_MS = 2000, /* for the 408 that nobody takes */
    CALM_STEP_MS = 150,
    CALM_MS = 5000,
    SETTING_MAX = 64,
    SOCKETS_MAX = 15000, /* that vanish: each wants a descriptor */
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

struct trial {
    struct bench *bench;
    const struct way *way;
    struct times times;
    struct field field;
    struct server *server;
    struct vanish *vanish;
    struct contestant *before, *during;
    struct course *course;
    struct load_mode mode;
    struct gauges_seen seen;
    uint64_t orphans; /* that the kernel still has of them */
};

static const enum option_id half_options[] = {
    OPTION_SUBSCRIBERS, OPTION_VANISHED,    OPTION_SIZE,  OPTION_RATE,
    OPTION_TURN_MS,     OPTION_HEARTBEAT,   OPTION_TLS,   OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER,  OPTIONS_OF_CLIENTS, OPTION_COUNT,
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

/* ---- those who vanish ----
 *
 * Clients without sockets are of the load, an entrant for each kind behind the others; with sockets
 * they have a filter that no load knows. */

static int add_vanishing(struct trial *trial)
{
    static const struct protocol *const kinds[VANISH_COUNT] = {
        [VANISH_WEBSOCKET] = &protocol_websocket,
        [VANISH_SSE] = &protocol_sse,
        [VANISH_HALF_HEAD] = &protocol_half_request,
    };
    static const char *const names[VANISH_COUNT] = {
        [VANISH_WEBSOCKET] = "vanish-websocket",
        [VANISH_SSE] = "vanish-sse",
        [VANISH_HALF_HEAD] = "vanish-half",
    };
    const uint32_t count = trial->bench->options->vanished;
    for (int kind = 0; kind < VANISH_COUNT; kind++) {
        struct entrant *entrant =
            field_add(&trial->field, names[kind], KIND_TRANSPORT, kinds[kind], trial->server,
                      count / VANISH_COUNT + ((uint32_t)kind < count % VANISH_COUNT));
        entrant->publish = NULL;
        if (!trial->way->tls)
            continue;
        entrant->tls = bench_tls_client(trial->bench, trial->way->cipher, kinds[kind]);
        entrant->cipher = trial->way->cipher;
        entrant->reach = trial->server->tls_reach;
        if (!entrant->tls)
            return -EINVAL;
    }
    return 0;
}

static int open_vanishing(struct trial *trial)
{
    const bool tls = trial->way->tls;
    int err = 0;
    for (unsigned i = 1; err == 0 && i < trial->field.count; i++)
        err = field_ramp(&trial->field, i);
    if (trial->bench->options->socketless)
        return err;
    err = vanish_open(&trial->vanish, tls ? &trial->server->tls_address : &trial->server->address,
                      tls ? bench_tls_client(trial->bench, trial->way->cipher, &protocol_websocket)
                          : NULL,
                      trial->bench->options->vanished);
    return err < 0
               ? bench_fail(err, "the peers that are to vanish cannot be made: %s", strerror(-err))
               : 0;
}

static int silence(struct trial *trial)
{
    for (unsigned i = 1; i < trial->field.count; i++)
        load_silence(trial->field.load, i);
    if (trial->bench->options->socketless)
        return 0;
    int err = vanish_silence(trial->vanish);
    return err < 0 ? bench_fail(err, "the peers cannot be silenced: %s", strerror(-err)) : 0;
}

static uint32_t vanished_of(const struct trial *trial, enum vanish_kind kind)
{
    return trial->bench->options->socketless ? trial->field.entrants[1 + (int)kind].clients
                                             : vanish_of(trial->vanish, kind);
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

static int turn(struct trial *trial, struct contestant *into, int64_t duration_ms)
{
    watch_phase(trial->bench, into->workload, NULL, NULL);
    return field_turn(&trial->field, 0, &trial->mode, duration_ms * NS_PER_MS, 0, into);
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
    int err = silence(trial);
    if (err == 0)
        err = read_memory(trial, WITH_THEM);
    if (err == 0)
        err = turn(trial, trial->during, longest_ms(&trial->times));
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
    err = open_vanishing(trial);
    if (err == 0)
        err = wait_until_found(trial);
    if (err == 0)
        err = read_memory(trial, FOUND);
    if (err < 0)
        return err;
    if (trial->vanish)
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
    if (err == 0 && options->socketless)
        err = add_vanishing(trial);
    if (err == 0)
        err = field_create(&trial->field);
    if (err == 0)
        err = field_ramp(&trial->field, 0);
    if (err == 0)
        err = field_settle(&trial->field, 0);
    if (err < 0)
        return err;
    way_workload(workload, &way, "before");
    trial->before = field_contestant(&trial->field, 0, workload);
    way_workload(workload, &way, "during");
    trial->during = field_contestant(&trial->field, 0, workload);
    trial->course = course_create(options->vanished);
    watch_rest(trial->bench, (options->turn_ms + longest_ms(&trial->times)) * NS_PER_MS);
    err = turn(trial, trial->before, options->turn_ms);
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
    into->connections = vanished_of(trial, kind);
    json_t *figure =
        json_pack("{s:s, s:o, s:o}", "reason", fate->reason, "closed", figure_count(growth->count),
                  "bound_s", figure_seconds(bound_ms(&trial->times, kind) * NS_PER_MS));
    if (growth->count > 0) {
        json_object_set_new(figure, "first_s", figure_seconds(growth->first_ns));
        json_object_set_new(figure, "last_s", figure_seconds(growth->last_ns));
    }
    contestant_figure(into, "reaped", figure);
}

static void finish(struct trial *trial)
{
    for (int kind = 0; kind < VANISH_COUNT; kind++)
        take(trial, (enum vanish_kind)kind);
    field_failures(&trial->field, 0, trial->during);
    contestant_figure(trial->during, "course", course_json(trial->course));
    contestant_figure(trial->during, "orphans", figure_count(trial->orphans));
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
    if (!options->socketless && options->vanished > SOCKETS_MAX)
        return bench_fail(-EINVAL, "more than %d that vanish need --clients socketless",
                          SOCKETS_MAX);
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
            "  ringside-bench half-open --heartbeat-ms 2000 --vanished 300\n"
            "  ringside-bench half-open --clients socketless --vanished 300000"},
    .defaults = defaults,
    .run = run,
};
