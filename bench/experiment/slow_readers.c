/* slow-readers: some subscribers stop reading in the middle of everything, or read less than is
 * sent; what do the others notice, what does the server hold for them, and what do they lose?
 *
 *   for each policy of slow_reader, with a server of its own:
 *     round 0   without ─► with        with: connect, stop or trickle, publish,
 *     round 1   with ─► without              read again, come back, all caught up, leave
 *      …        └──────────────┘ neighbours in time: the ratio of the others' p99
 *
 * All hear the same channel. Of those who are slow every other one stops, and the others read an
 * eighth of what is sent, a little at a time. They have envelopes, or all have SSE, so that who is
 * cut off can come back with a position. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/field.h"
#include "experiment/gauges.h"
#include "experiment/settings.h"
#include "experiment/stall.h"
#include "measure/clock.h"

static const int64_t RAMP_TIMEOUT_NS = (int64_t)60 * NS_PER_S;
static const int64_t RESUME_NS = (int64_t)60 * NS_PER_S;
static const int64_t HOPELESS_NS = (int64_t)30 * NS_PER_S;
static const int64_t LEAVE_NS = (int64_t)300 * NS_PER_MS;
static const int64_t SAMPLE_NS = (int64_t)250 * NS_PER_MS;

/* Of slow_reader. Each is, in each way (way_workload), the workload of a contestant "others" with a
 * stall, and of one more "…, without". */
static const char *const slow_policies[] = {"disconnect", "drop_oldest", "keep_latest"};

enum {
    SLOW_POLICIES = sizeof slow_policies / sizeof slow_policies[0],
    OTHERS = 0, /* groups of the load */
    STALLED = 1,
    TRICKLING = 2,
    TRICKLE_PART = 8, /* reads so little of what is sent */
    PERCENT = 100,
    RETURNS_AT_ONCE = 64, /* each gets a replay of its own, and those are not shared */
    HISTORY_MESSAGES_MIN = 128,
    HISTORY_HEAD_BYTES = 512, /* of a kept message, with slack */
    QUEUE_TOTAL_DEFAULT = 268435456,
};

/* One policy while it is tried. */
struct trial {
    struct bench *bench;
    const char *policy;
    const struct way *way;      /* of all connections; the transport is not looked at */
    char name[RESULT_NAME_MAX]; /* its workload */
    struct field field;
    struct server *server;
    struct http_get get;
    struct contestant *without, *with;
    struct stall *stall; /* of `with` */
    struct capacity_counters growth;
    struct load_mode mode;
};

static const enum option_id slow_options[] = {
    OPTION_SUBSCRIBERS, OPTION_STALLED,    OPTION_TRANSPORT,   OPTION_SIZE,   OPTION_RATE,
    OPTION_QUEUE,       OPTION_TURNS,      OPTION_TURN_MS,     OPTION_WARMUP, OPTION_TLS,
    OPTION_TLS_VERSION, OPTION_TLS_CIPHER, OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 10000;
    options->stalled_percent = 10;
    options->transports[0] = &protocol_websocket;
    options->transport_count = 1;
    options->message_bytes = 8192;
    options->rates[0] = 8;
    options->rate_count = 1;
    options->queue_bytes = 131072;
    options->turns = 4;
    options->turn_ms = 8000;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

static uint32_t slow_of(const struct options *options)
{
    uint32_t count =
        (uint32_t)((uint64_t)options->subscribers * options->stalled_percent / PERCENT);
    return count > 0 ? count : 1;
}

static uint32_t trickling_of(const struct options *options)
{
    return slow_of(options) / 2;
}

/* ---- the server ---- */

/* History that reaches back over a turn, so that who was cut off finds everything. */
static int start_server(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    struct settings settings = {0};
    double messages = ceil(options->rates[0] * options->turn_ms / 1e3) + HISTORY_MESSAGES_MIN;
    double bytes = messages * (options->message_bytes + HISTORY_HEAD_BYTES);
    settings_add(&settings, "slow_reader=%s", trial->policy);
    settings_add(&settings, "queue_bytes_max=%u", options->queue_bytes);
    settings_add(&settings, "history_messages_max=%.0f", messages);
    settings_add(&settings, "history_bytes_max=%.0f", bytes);
    int err = bench_server_start(trial->bench, options->subscribers, settings.list, &trial->server);
    if (err == 0)
        http_get_init(&trial->get, &trial->server->address);
    return err;
}

/* ---- who is there ---- */

static int ramp(struct trial *trial, unsigned group, uint32_t in_flight,
                struct load_ramp_result *ret)
{
    const struct load_ramp_config config = {.timeout_ns = RAMP_TIMEOUT_NS, .in_flight = in_flight};
    int err = load_idle(trial->field.load, NS_PER_MS, LOAD_ALL);
    if (err == 0)
        err = load_ramp(trial->field.load, group, &config, ret);
    if (err == 0 && ret->failed > 0)
        err = bench_fail(-ECONNREFUSED, "%u clients did not connect", ret->failed);
    return err;
}

static struct contestant *contestant_of(struct trial *trial, const char *suffix)
{
    char workload[RESULT_NAME_MAX];
    snprintf(workload, sizeof workload, "%.37s%s", trial->name, suffix);
    return field_contestant(&trial->field, OTHERS, workload);
}

static void add_contestants(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    trial->without = contestant_of(trial, ", without");
    trial->with = contestant_of(trial, "");
    uint64_t total = (uint64_t)QUEUE_TOTAL_DEFAULT * options->shards;
    uint64_t each = (uint64_t)slow_of(options) * options->queue_bytes;
    trial->stall->policy = trial->policy;
    trial->stall->readers = slow_of(options);
    trial->stall->trickling = trickling_of(options);
    trial->stall->queue_bytes_max = options->queue_bytes;
    trial->stall->bound_bytes = each < total ? each : total;
}

/* All hear the same channel. */
static int add_group(struct trial *trial, const char *name, const struct protocol *transport,
                     uint32_t clients)
{
    const struct way way = {transport, trial->way->tls, trial->way->cipher};
    const unsigned index = trial->field.count;
    int err = field_add_way(&trial->field, &way, trial->server, clients);
    struct entrant *entrant = &trial->field.entrants[index];
    entrant->name = name;
    snprintf(entrant->channel, sizeof entrant->channel, "bench-others");
    if (index != OTHERS)
        entrant->publish = NULL;
    return err;
}

static int add_groups(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    const uint32_t slow = slow_of(options), trickling = trickling_of(options);
    const struct protocol *transport = options->transports[0];
    const struct protocol *resumable = transport->resumes_as ? transport->resumes_as : transport;
    field_init(&trial->field, trial->bench);
    int err = add_group(trial, "others", transport, options->subscribers - slow);
    if (err == 0)
        err = add_group(trial, "stalled", resumable, slow - trickling);
    if (err == 0 && trickling > 0)
        err = add_group(trial, "trickling", resumable, trickling);
    return err;
}

static int open_others(struct trial *trial)
{
    int err = add_groups(trial);
    if (err == 0)
        err = field_create(&trial->field);
    watch_phase(trial->bench, "ramp", trial->name, NULL);
    if (err == 0)
        err = ramp(trial, OTHERS, 0, &trial->field.entrants[OTHERS].ramp);
    if (err == 0)
        err = field_settle(&trial->field, OTHERS);
    if (err == 0)
        add_contestants(trial);
    return err;
}

/* ---- turns ---- */

/* So many messages as the rate makes of a turn, however long it takes. The others never have more
 * under way than half of their queues: what they lose, then, the server has lost for them, not a
 * machine on which they stood still. */
static void set_mode(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    const uint32_t fit = options->queue_bytes / options->message_bytes / 2;
    trial->mode = (struct load_mode){
        .rate_per_s = options->rates[0],
        .under_way = fit > 0 ? fit : 1,
        .messages = (uint32_t)ceil(options->rates[0] * options->turn_ms / 1e3),
        .hopeless_ns = HOPELESS_NS,
    };
}

static int turn(struct trial *trial, unsigned round, struct contestant *into)
{
    const int64_t duration_ns = (int64_t)trial->bench->options->turn_ms * NS_PER_MS;
    char detail[RESULT_NAME_MAX];
    snprintf(detail, sizeof detail, "round %u", round + 1);
    watch_phase(trial->bench,
                !into                 ? "warm-up"
                : into == trial->with ? "with"
                                      : "without",
                trial->name, detail);
    watch_lasts(trial->bench, duration_ns);
    return field_turn(&trial->field, OTHERS, &trial->mode, 0, round, into);
}

/* Half of them read nothing, the others a little. */
static void slow_down(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    struct load *load = trial->field.load;
    for (unsigned group = STALLED; group < trial->field.count; group++)
        load_stall(load, group, load_clients(load, group));
    if (trial->stall->trickling > 0)
        load_trickle(load, TRICKLING,
                     (uint32_t)(options->rates[0] * options->message_bytes / TRICKLE_PART));
}

static void speed_up(struct trial *trial)
{
    if (trial->stall->trickling > 0)
        load_trickle(trial->field.load, TRICKLING, 0);
    for (unsigned group = STALLED; group < trial->field.count; group++)
        load_stall(trial->field.load, group, 0);
}

/* Who finds the connection ended comes back with a position. */
static int resume_group(struct trial *trial, unsigned group)
{
    struct load *load = trial->field.load;
    uint64_t last = load_counters(load, OTHERS)->published;
    struct load_ramp_result back = {0};
    int err = load_await(load, group, last, RESUME_NS);
    if (err == 0 && load_up(load, group) < load_clients(load, group))
        err = ramp(trial, group, RETURNS_AT_ONCE, &back);
    if (err == 0)
        err = load_await(load, group, last, RESUME_NS);
    trial->stall->returned += back.opened;
    trial->stall->trickling_returned += group == TRICKLING ? back.opened : 0;
    trial->stall->latest += load_up(load, group) - load_lacking(load, group, last);
    return err;
}

/* They read as others do again. */
static int resume(struct trial *trial)
{
    int err = 0;
    watch_phase(trial->bench, "resume", trial->name, NULL);
    speed_up(trial);
    for (unsigned group = STALLED; err == 0 && group < trial->field.count; group++)
        err = resume_group(trial, group);
    return err;
}

static void most(uint64_t *into, uint64_t value)
{
    if (value > *into)
        *into = value;
}

static void take_seen(struct stall *stall, const struct gauges_seen *seen)
{
    most(&stall->queue_bytes, seen->queue_bytes);
    most(&stall->rss_bytes, seen->rss_bytes);
    most(&stall->tcp_bytes, seen->tcp_bytes);
}

/* Adds what grew since `before`. */
static void take_growth(struct trial *trial, const struct capacity_counters *before)
{
    struct capacity_counters after, growth;
    counters_read(&after, &trial->get);
    counters_growth(&growth, before, &after);
    trial->stall->dropped += growth.values[COUNTER_MESSAGES_DROPPED];
    for (int i = 0; i < COUNTER_COUNT; i++) {
        trial->growth.known[i] = growth.known[i];
        trial->growth.values[i] += growth.values[i];
    }
}

static uint64_t closes_so_far(struct trial *trial)
{
    struct capacity_counters now;
    counters_read(&now, &trial->get);
    return now.values[COUNTER_CLOSED_SLOW_READER] + now.values[COUNTER_CLOSED_STALLED] +
           now.values[COUNTER_CLOSED_QUEUE_TOTAL] + now.values[COUNTER_CLOSED_HEARTBEAT];
}

/* What the slow readers have counted. */
struct slow_mark {
    struct load_ledger ledger;
    uint64_t unrecovered;
};

static void mark_read(const struct trial *trial, struct slow_mark *ret)
{
    *ret = (struct slow_mark){0};
    for (unsigned group = STALLED; group < trial->field.count; group++) {
        struct load_ledger ledger;
        load_ledger_read(trial->field.load, group, &ledger);
        ret->ledger.lost += ledger.lost;
        ret->ledger.duplicate += ledger.duplicate;
        ret->ledger.out_of_order += ledger.out_of_order;
        ret->ledger.corrupt += ledger.corrupt;
        ret->unrecovered += load_counters(trial->field.load, group)->unrecovered;
    }
}

static void take_mark(struct trial *trial, const struct slow_mark *before)
{
    struct slow_mark after;
    mark_read(trial, &after);
    trial->stall->lost += after.ledger.lost - before->ledger.lost;
    trial->stall->duplicate += after.ledger.duplicate - before->ledger.duplicate;
    trial->stall->out_of_order += after.ledger.out_of_order - before->ledger.out_of_order;
    trial->stall->corrupt += after.ledger.corrupt - before->ledger.corrupt;
    trial->stall->unrecovered += after.unrecovered - before->unrecovered;
}

static uint64_t trickled_so_far(const struct trial *trial)
{
    return trial->stall->trickling > 0 ? load_counters(trial->field.load, TRICKLING)->deliveries
                                       : 0;
}

/* Everybody leaves, and the next turn begins without them. */
static int leave(struct trial *trial)
{
    struct gauges_seen seen;
    struct load *load = trial->field.load;
    struct gauges *gauges = gauges_start(&trial->server->address, &trial->server->process);
    for (unsigned group = STALLED; group < trial->field.count; group++)
        load_drop(load, group, load_up(load, group), false);
    int err = load_idle(load, LEAVE_NS, LOAD_ALL);
    for (unsigned group = STALLED; group < trial->field.count; group++)
        load_forget(load, group);
    gauges_stop(gauges, &seen);
    most(&trial->stall->queue_left, seen.queue_last);
    return err;
}

static int join(struct trial *trial)
{
    struct load_ramp_result joined;
    int err = 0;
    for (unsigned group = STALLED; err == 0 && group < trial->field.count; group++)
        err = ramp(trial, group, 0, &joined);
    return err;
}

static int with(struct trial *trial, unsigned round)
{
    struct slow_mark mark;
    struct capacity_counters before;
    struct gauges_seen seen;
    int err = join(trial);
    if (err < 0)
        return err;
    slow_down(trial);
    mark_read(trial, &mark);
    counters_read(&before, &trial->get);
    uint64_t closes = closes_so_far(trial), trickled = trickled_so_far(trial);
    struct gauges *gauges = gauges_start(&trial->server->address, &trial->server->process);
    err = turn(trial, round, trial->with);
    gauges_stop(gauges, &seen);
    trial->stall->closed += closes_so_far(trial) - closes;
    trial->stall->trickled += trickled_so_far(trial) - trickled;
    if (err == 0)
        err = resume(trial);
    trial->stall->turns++;
    take_seen(trial->stall, &seen);
    take_growth(trial, &before);
    take_mark(trial, &mark);
    return err == 0 ? leave(trial) : err;
}

static int round_of(struct trial *trial, unsigned round)
{
    const bool with_first = round % 2 == 1;
    int err = with_first ? with(trial, round) : turn(trial, round, trial->without);
    if (err == 0)
        err = with_first ? turn(trial, round, trial->without) : with(trial, round);
    return err;
}

static int play(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    int err = open_others(trial);
    for (unsigned i = 0; err == 0 && i < options->warmup_turns; i++)
        err = turn(trial, i, NULL);
    for (unsigned i = 0; err == 0 && i < options->turns; i++)
        err = round_of(trial, i);
    if (trial->with)
        trial->with->counters = counters_json(&trial->growth);
    return err;
}

static int run_policy(struct bench *bench, const char *policy, const struct way *way)
{
    struct stall stall = {0};
    struct trial *trial = calloc(1, sizeof *trial);
    assert(trial);
    trial->bench = bench;
    trial->policy = policy;
    trial->stall = &stall;
    trial->way = way;
    way_workload(trial->name, way, policy);
    set_mode(trial);
    int err = start_server(trial);
    if (err == 0) {
        err = play(trial);
        http_get_done(&trial->get);
    }
    if (trial->with) {
        contestant_figure(trial->with, "stall", stall_json(&stall));
        trial->with->own_faults = stall.duplicate + stall.out_of_order + stall.corrupt;
    }
    field_close(&trial->field);
    err = bench_server_end(bench, trial->server, err);
    free(trial);
    return err;
}

/* ---- the run ---- */

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct way ways[WAYS_ANY_MAX];
    const unsigned way_count = ways_of_any(options, ways);
    int err = 0;
    if (options->address)
        return bench_fail(-EINVAL, "slow-readers starts its own servers, one for each policy");
    if (options->rate_count != 1 || options->subscribers < 2)
        return bench_fail(-EINVAL, "slow-readers takes one --rate, and two subscribers or more");
    if (options->transport_count != 1 || !(options->transports[0]->is & PROTOCOL_STALLS))
        return bench_fail(-EINVAL, "slow-readers takes one --transport: websocket, sse, "
                                   "h2-websocket or h2-sse");
    bench->watch.sample_every_ns = SAMPLE_NS;
    watch_turns(bench, way_count * SLOW_POLICIES * (options->warmup_turns + 2 * options->turns));
    for (unsigned w = 0; err == 0 && w < way_count; w++)
        for (unsigned i = 0; err == 0 && i < SLOW_POLICIES; i++)
            err = run_policy(bench, slow_policies[i], &ways[w]);
    return err;
}

const struct experiment experiment_slow_readers = {
    .name = "slow-readers",
    .use = {slow_options, "Some subscribers stop reading, or read too slowly: what others notice.",
            "Once for each policy of slow_reader, with turns with and without them. Every other "
            "one of --stalled reads a little at a time, an eighth of what is sent; the others "
            "nothing. --rate, --size and --turn-ms must be enough to fill their sockets and "
            "--queue within "
            "a turn. Afterwards they read again, and their ledger is set beside the server's "
            "counters. With --tls each policy once more over TLS.\n\n"
            "  ringside-bench slow-readers\n"
            "  ringside-bench slow-readers --transport sse\n"
            "  ringside-bench slow-readers --subscribers 1000 --stalled 50 --queue 65536"},
    .defaults = defaults,
    .run = run,
};
