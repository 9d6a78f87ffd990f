/* slow-readers: some subscribers stop reading in the middle of everything; what do the others
 * notice, what does the server hold for them, and what do they lose?
 *
 *   for each policy of slow_reader, with a server of its own:
 *     round 0   without ─► with        with: connect, stop reading, publish,
 *     round 1   with ─► without              read again, come back, all caught up, leave
 *      …        └──────────────┘ neighbours in time: the ratio of the others' p99
 *
 * The others and those who stop hear the same channel. Those who stop have envelopes, so that who
 * is cut off can come back with a position. */
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
#include "measure/clock.h"
#include "output/table.h"

/* What the issue of slow readers may cost others. */
static const double NOTICED = 1.2;
static const int64_t RAMP_TIMEOUT_NS = (int64_t)60 * NS_PER_S;
static const int64_t RESUME_NS = (int64_t)60 * NS_PER_S;
static const int64_t LEAVE_NS = (int64_t)300 * NS_PER_MS;
static const int64_t SAMPLE_NS = (int64_t)250 * NS_PER_MS;

enum {
    POLICIES = 3,
    DISCONNECT = 0,
    KEEP_LATEST = 2,
    OTHERS = 0, /* groups of the load */
    STALLED = 1,
    PERCENT = 100,
    RETURNS_AT_ONCE = 64, /* each gets a replay of its own, and those are not shared */
    HISTORY_MESSAGES_MIN = 128,
    HISTORY_HEAD_BYTES = 512, /* of a kept message, with slack */
    QUEUE_TOTAL_DEFAULT = 268435456,
    SETTING_MAX = 64,
    SETTINGS_MAX = 8,
};

static const char *const policies[POLICIES] = {"disconnect", "drop_oldest", "keep_latest"};

/* One policy while it is tried. */
struct trial {
    struct bench *bench;
    const char *policy;
    struct field field;
    struct server *server;
    struct http_get get;
    struct contestant *without, *with;
    struct stall *stall; /* of `with` */
    struct capacity_counters growth;
    struct load_mode mode;
};

static const enum option_id slow_options[] = {
    OPTION_SUBSCRIBERS, OPTION_STALLED, OPTION_SIZE,   OPTION_RATE,  OPTION_QUEUE,
    OPTION_TURNS,       OPTION_TURN_MS, OPTION_WARMUP, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 10000;
    options->stalled_percent = 10;
    options->message_bytes = 8192;
    options->rates[0] = 8;
    options->rate_count = 1;
    options->queue_bytes = 131072;
    options->turns = 4;
    options->turn_ms = 8000;
}

static uint32_t stalled_of(const struct options *options)
{
    uint32_t count =
        (uint32_t)((uint64_t)options->subscribers * options->stalled_percent / PERCENT);
    return count > 0 ? count : 1;
}

/* ---- the server ---- */

/* History that reaches back over a turn, so that who was cut off finds everything. */
static int start_server(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    char texts[SETTINGS_MAX][SETTING_MAX];
    const char *settings[SETTINGS_MAX + 1] = {0};
    double messages = ceil(options->rates[0] * options->turn_ms / 1e3) + HISTORY_MESSAGES_MIN;
    double bytes = messages * (options->message_bytes + HISTORY_HEAD_BYTES);
    unsigned n = 0;
    snprintf(texts[n++], SETTING_MAX, "slow_reader=%s", trial->policy);
    snprintf(texts[n++], SETTING_MAX, "queue_bytes_max=%u", options->queue_bytes);
    snprintf(texts[n++], SETTING_MAX, "history_messages_max=%.0f", messages);
    snprintf(texts[n++], SETTING_MAX, "history_bytes_max=%.0f", bytes);
    for (unsigned i = 0; i < n; i++)
        settings[i] = texts[i];
    int err = bench_server_start(trial->bench, options->subscribers, settings, &trial->server);
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
    snprintf(workload, sizeof workload, "%s%s", trial->policy, suffix);
    return field_contestant(&trial->field, OTHERS, workload);
}

static void add_contestants(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    trial->without = contestant_of(trial, ", without");
    trial->with = contestant_of(trial, "");
    trial->stall = trial->with->stall = stall_create();
    uint64_t total = (uint64_t)QUEUE_TOTAL_DEFAULT * options->shards;
    uint64_t each = (uint64_t)stalled_of(options) * options->queue_bytes;
    trial->stall->policy = trial->policy;
    trial->stall->readers = stalled_of(options);
    trial->stall->queue_bytes_max = options->queue_bytes;
    trial->stall->bound_bytes = each < total ? each : total;
}

static int open_others(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    uint32_t stalled = stalled_of(options);
    field_init(&trial->field, trial->bench);
    field_add(&trial->field, "others", KIND_TRANSPORT, LOAD_WEBSOCKET, trial->server,
              options->subscribers - stalled);
    struct entrant *entrant = field_add(&trial->field, "stalled", KIND_TRANSPORT,
                                        LOAD_WEBSOCKET_ENVELOPE, trial->server, stalled);
    entrant->publish = LOAD_PUBLISH_NONE;
    snprintf(entrant->channel, sizeof entrant->channel, "%s",
             trial->field.entrants[OTHERS].channel);
    int err = field_create(&trial->field);
    watch_phase(trial->bench, "ramp", trial->policy, NULL);
    if (err == 0)
        err = ramp(trial, OTHERS, 0, &trial->field.entrants[OTHERS].ramp);
    if (err == 0)
        err = field_settle(&trial->field, OTHERS);
    if (err == 0)
        add_contestants(trial);
    return err;
}

/* ---- turns ---- */

static int turn(struct trial *trial, unsigned round, struct contestant *into, double *ret_p99_ns)
{
    const int64_t duration_ns = (int64_t)trial->bench->options->turn_ms * NS_PER_MS;
    char detail[RESULT_NAME_MAX];
    snprintf(detail, sizeof detail, "round %u", round + 1);
    watch_phase(trial->bench,
                !into                 ? "warm-up"
                : into == trial->with ? "with"
                                      : "without",
                trial->policy, detail);
    int err = field_turn(&trial->field, OTHERS, &trial->mode, duration_ns, round, into);
    *ret_p99_ns = (double)histogram_percentile(load_latency(trial->field.load, OTHERS), 99);
    return err;
}

/* They read again; who finds the connection ended comes back with a position. */
static int resume(struct trial *trial)
{
    struct load *load = trial->field.load;
    uint64_t last = load_counters(load, OTHERS)->published;
    struct load_ramp_result back = {0};
    watch_phase(trial->bench, "resume", trial->policy, NULL);
    load_stall(load, STALLED, 0);
    int err = load_await(load, STALLED, last, RESUME_NS);
    if (err == 0 && load_up(load, STALLED) < trial->stall->readers)
        err = ramp(trial, STALLED, RETURNS_AT_ONCE, &back);
    if (err == 0)
        err = load_await(load, STALLED, last, RESUME_NS);
    trial->stall->returned += back.opened;
    trial->stall->latest += load_up(load, STALLED) - load_lacking(load, STALLED, last);
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

static void take_ledger(struct trial *trial, const struct load_ledger *before)
{
    struct load_ledger after;
    load_ledger_read(trial->field.load, STALLED, &after);
    trial->stall->lost += after.lost - before->lost;
    trial->stall->duplicate += after.duplicate - before->duplicate;
    trial->stall->out_of_order += after.out_of_order - before->out_of_order;
}

/* Everybody leaves, and the next turn begins without them. */
static int leave(struct trial *trial)
{
    struct gauges_seen seen;
    struct gauges *gauges = gauges_start(&trial->server->address, &trial->server->process);
    load_drop(trial->field.load, STALLED, load_up(trial->field.load, STALLED), false);
    int err = load_idle(trial->field.load, LEAVE_NS, LOAD_ALL);
    load_forget(trial->field.load, STALLED);
    gauges_stop(gauges, &seen);
    most(&trial->stall->queue_left, seen.queue_last);
    return err;
}

static int with(struct trial *trial, unsigned round, double *ret_p99_ns)
{
    struct load *load = trial->field.load;
    struct load_ramp_result joined;
    struct load_ledger ledger;
    struct capacity_counters before;
    struct gauges_seen seen;
    int err = ramp(trial, STALLED, 0, &joined);
    if (err < 0)
        return err;
    load_stall(load, STALLED, trial->stall->readers);
    load_ledger_read(load, STALLED, &ledger);
    counters_read(&before, &trial->get);
    uint64_t unrecovered = load_counters(load, STALLED)->unrecovered;
    uint64_t closes = closes_so_far(trial);
    struct gauges *gauges = gauges_start(&trial->server->address, &trial->server->process);
    err = turn(trial, round, trial->with, ret_p99_ns);
    gauges_stop(gauges, &seen);
    trial->stall->closed += closes_so_far(trial) - closes;
    if (err == 0)
        err = resume(trial);
    trial->stall->turns++;
    trial->stall->unrecovered += load_counters(load, STALLED)->unrecovered - unrecovered;
    take_seen(trial->stall, &seen);
    take_growth(trial, &before);
    take_ledger(trial, &ledger);
    return err == 0 ? leave(trial) : err;
}

static int round_of(struct trial *trial, unsigned round)
{
    double with_ns = 0, without_ns = 0;
    bool first = round % 2 == 1;
    int err =
        first ? with(trial, round, &with_ns) : turn(trial, round, trial->without, &without_ns);
    if (err == 0)
        err =
            first ? turn(trial, round, trial->without, &without_ns) : with(trial, round, &with_ns);
    if (err == 0 && without_ns > 0)
        stall_ratio(trial->stall, with_ns / without_ns);
    return err;
}

static int play(struct trial *trial)
{
    const struct options *options = trial->bench->options;
    double unused;
    int err = open_others(trial);
    for (unsigned i = 0; err == 0 && i < options->warmup_turns; i++)
        err = turn(trial, i, NULL, &unused);
    for (unsigned i = 0; err == 0 && i < options->turns; i++)
        err = round_of(trial, i);
    if (trial->with)
        trial->with->counters = counters_json(&trial->growth);
    return err;
}

static int run_policy(struct bench *bench, const char *policy)
{
    struct trial *trial = calloc(1, sizeof *trial);
    assert(trial);
    trial->bench = bench;
    trial->policy = policy;
    trial->mode.rate_per_s = bench->options->rates[0];
    int err = start_server(trial);
    if (err == 0) {
        err = play(trial);
        http_get_done(&trial->get);
    }
    field_close(&trial->field);
    if (trial->server) {
        int stopped = bench_server_stop(trial->server);
        err = err ? err : stopped;
        bench->server_count--;
    }
    free(trial);
    return err;
}

/* ---- what is said of it ---- */

static const struct contestant *with_of(const struct result *result, unsigned policy)
{
    const struct contestant *found = result_find(result, "others", policies[policy]);
    return found && found->stall && found->stall->ratio_count > 0 ? found : NULL;
}

/* For each policy that has an answer, one after the other. */
static size_t add(char *text, size_t size, size_t len, const char *policy, const char *answer)
{
    int more = snprintf(text + len, size - len, "%s%s %s", len > 0 ? "; " : "", policy, answer);
    return len + (size_t)more < size ? len + (size_t)more : size - 1;
}

static void judge_delay(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = true, fails = false, bound = false;
    for (unsigned i = 0; i < POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        struct spread ratio = stall_ratios(with->stall);
        snprintf(answer, sizeof answer, "%.2fx (%.2f to %.2f)", ratio.median, ratio.min, ratio.max);
        len = add(text, sizeof text, len, policies[i], answer);
        holds &= ratio.median < NOTICED;
        fails |= ratio.p25 >= NOTICED;
        bound |= contestant_client_bound(with);
    }
    result_verdict(result, "Readers that stop delay nobody else: p99 rises by less than 1.2x",
                   bound   ? "not measured"
                   : holds ? "holds"
                   : fails ? "fails"
                           : "depends",
                   "p99 of the others, with them / without: %s%s", text,
                   bound ? "; the client was the bottleneck" : "");
}

static void judge_memory(struct result *result)
{
    char text[512] = "", answer[128], grew[TABLE_NUMBER_MAX], bound[TABLE_NUMBER_MAX],
         tcp[TABLE_NUMBER_MAX];
    size_t len = 0;
    bool holds = true, filled = true;
    for (unsigned i = 0; i < POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        const struct stall *stall = with->stall;
        snprintf(answer, sizeof answer, "+%s (sockets +%s)",
                 number_bytes(grew, (double)stall->rss_bytes),
                 number_bytes(tcp, (double)stall->tcp_bytes));
        len = add(text, sizeof text, len, policies[i], answer);
        number_bytes(bound, (double)stall->bound_bytes);
        holds &= stall->rss_bytes <= stall->bound_bytes && stall->queue_bytes <= stall->bound_bytes;
        filled &= stall->closed + stall->dropped > 0;
    }
    result_verdict(result, "What is kept for readers that stop is bounded by the configured queues",
                   !filled ? "not measured"
                   : holds ? "holds"
                           : "fails",
                   "server memory, of %s allowed: %s%s", bound, text,
                   filled ? "" : "; not all queues were full");
}

/* A policy loses what it says: disconnect nothing, the others what the server counts. */
static bool lost_as_said(const struct stall *stall, bool disconnect)
{
    bool in_order = stall->duplicate + stall->out_of_order + stall->unrecovered == 0;
    return in_order && stall->lost == stall->dropped &&
           (disconnect ? stall->returned == stall->closed && stall->lost == 0 : stall->closed == 0);
}

static void judge_loss(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = result_ledger_faults(result) == 0;
    for (unsigned i = 0; i < POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        const struct stall *stall = with->stall;
        snprintf(answer, sizeof answer, "closed %lu, dropped %lu, lost %lu",
                 (unsigned long)stall->closed, (unsigned long)stall->dropped,
                 (unsigned long)stall->lost);
        len = add(text, sizeof text, len, policies[i], answer);
        holds &= lost_as_said(stall, i == DISCONNECT);
    }
    result_verdict(result, "Who stops reading loses what the policy says, and nobody else anything",
                   holds ? "holds" : "fails", "%s; the others lost %lu", text,
                   (unsigned long)result_ledger_faults(result));
}

static void judge_latest(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = true;
    for (unsigned i = 0; i < POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        uint64_t all = (uint64_t)with->stall->readers * with->stall->turns;
        snprintf(answer, sizeof answer, "%lu of %lu", (unsigned long)with->stall->latest,
                 (unsigned long)all);
        len = add(text, sizeof text, len, policies[i], answer);
        holds &= with->stall->latest == all;
    }
    result_verdict(result, "Who reads again ends with the latest message",
                   holds ? "holds" : "fails", "%s", text);
}

static void make_headline(struct bench *bench)
{
    char text[256];
    double worst = 0;
    for (unsigned i = 0; i < POLICIES; i++) {
        const struct contestant *with = with_of(&bench->result, i);
        double ratio = with ? stall_ratios(with->stall).median : 0;
        worst = ratio > worst ? ratio : worst;
    }
    snprintf(text, sizeof text, "%u %% of %u readers stop: the others' p99 rises to %.2fx at most",
             bench->options->stalled_percent, bench->options->subscribers, worst);
    bench->result.headline = strdup(text);
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    int err = 0;
    if (options->address)
        return bench_fail(-EINVAL, "slow-readers starts its own servers, one for each policy");
    if (options->rate_count != 1 || options->subscribers < 2)
        return bench_fail(-EINVAL, "slow-readers takes one --rate, and two subscribers or more");
    bench->result.title = strdup("Readers that stop reading");
    bench->watch.sample_every_ns = SAMPLE_NS;
    watch_turns(bench, POLICIES * (options->warmup_turns + 2 * options->turns));
    for (unsigned i = 0; err == 0 && i < POLICIES; i++)
        err = run_policy(bench, policies[i]);
    if (err < 0)
        return err;
    judge_delay(&bench->result);
    judge_memory(&bench->result);
    judge_loss(&bench->result);
    judge_latest(&bench->result);
    make_headline(bench);
    return 0;
}

/* ---- the table ---- */

static void print_row(struct table *table, const struct result *result, unsigned policy)
{
    char text[TABLE_NUMBER_MAX], without_workload[RESULT_NAME_MAX];
    const struct contestant *with = with_of(result, policy);
    snprintf(without_workload, sizeof without_workload, "%s, without", policies[policy]);
    const struct contestant *without = result_find(result, "others", without_workload);
    if (!with || !without)
        return;
    const struct stall *stall = with->stall;
    struct spread ratio = stall_ratios(stall);
    table_row(table);
    table_cell(table, "%s", policies[policy]);
    table_cell(table, "%s",
               number_time(text, (double)histogram_percentile(without->corrected, 99)));
    table_cell(table, "%s", number_time(text, (double)histogram_percentile(with->corrected, 99)));
    table_cell(table, "%.2f (%.2f-%.2f)", ratio.median, ratio.min, ratio.max);
    table_cell(table, "%s", number_bytes(text, (double)stall->queue_bytes));
    table_cell(table, "%s", number_bytes(text, (double)stall->rss_bytes));
    table_cell(table, "%s", number_bytes(text, (double)stall->tcp_bytes));
    table_cell(table, "%s", number_grouped(text, stall->closed));
    table_cell(table, "%s", number_grouped(text, stall->dropped));
    table_cell(table, "%s", number_grouped(text, stall->lost));
    table_cell(table, "%s", number_grouped(text, stall->latest));
    table_cell(table, "%s",
               number_grouped(text, load_ledger_faults(&with->ledger) +
                                        load_ledger_faults(&without->ledger)));
}

static void print(const struct bench *bench)
{
    static struct table table;
    table_heads(&table, "", "others' p99", "with", "ratio", "queues", "memory", "sockets", "closed",
                "dropped,", "lost, by", "have the", "others'");
    table_heads(&table, "", "without", "them", "(all turns)", "at most", "grew", "grew", "",
                "by counter", "ledger", "latest", "faults");
    for (unsigned i = 0; i < POLICIES; i++)
        print_row(&table, &bench->result, i);
    table_print(&table, stdout, 2);
}

const struct experiment experiment_slow_readers = {
    .name = "slow-readers",
    .use = {slow_options, "Some subscribers stop reading: what others notice, and what is kept.",
            "Once for each policy of slow_reader, with turns with and without those who stop. "
            "--rate, --size and --turn-ms must be enough to fill their sockets and --queue within "
            "a turn. Afterwards they read again, and their ledger is set beside the server's "
            "counters.\n\n"
            "  ringside-bench slow-readers\n"
            "  ringside-bench slow-readers --subscribers 1000 --stalled 50 --queue 65536"},
    .defaults = defaults,
    .run = run,
    .print = print,
};
