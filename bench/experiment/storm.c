/* storm: everybody is cut off at once and comes back with a position, while messages are published;
 * three times, each with a server of its own:
 *
 *   admission   admits_per_s, and clients that wait as the server tells them
 *   jitter      no admission; clients back off by themselves with full jitter
 *   at once     neither: all try at once, and at once again
 *
 *   ramp ─► settle ─► quiet: what the connected notice without a storm
 *                  ─► drop all ─► all back, or given up ─► publishing ends, all catch up ─► ledger
 *
 * What the storm costs is seen by the witness: clients that stay connected on a thread of their own
 * (witness.h). Raw WebSockets are not here: they have no position to come back with. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/field.h"
#include "experiment/witness.h"
#include "measure/clock.h"
#include "output/table.h"

static const double DELIVERIES_PER_S = 10000; /* by default, of the storm's channels together */
static const double WITNESS_DELIVERIES_PER_S = 10000;
static const int64_t RAMP_TIMEOUT_NS = (int64_t)600 * NS_PER_S;
static const int64_t CATCH_UP_NS = (int64_t)120 * NS_PER_S;
static const int64_t SAMPLE_NS = (int64_t)250 * NS_PER_MS;

enum {
    VARIANTS = 3,
    ADMISSION = 0,
    AT_ONCE = 2,
    ENTRANTS = 2,
    LIVE_SHARE = 10,
    LIVE_MAX = 2000,
    /* The back-off that docs/PROTOCOL.md asks of clients. */
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MOST_MS = 30000,
    HISTORY_MESSAGES_MIN = 128,
    HISTORY_HEAD_BYTES = 512, /* of a kept message, with slack */
    SETTING_MAX = 64,
    SETTINGS_MAX = 8,
};

static const struct variant {
    const char *name;
    bool admission;
    struct load_backoff backoff;
} variants[VARIANTS] = {
    {"admission", true, {BACKOFF_FIRST_MS, BACKOFF_MOST_MS, true}},
    {"jitter", false, {BACKOFF_FIRST_MS, BACKOFF_MOST_MS, false}},
    {"at once", false, {0}},
};

/* One variant while it runs, and what is said of it afterwards. */
struct storm {
    struct bench *bench;
    const struct variant *variant;
    struct field field;
    struct server *server;
    struct witness *witness;
    struct http_get get;
    struct capacity_counters before;
    struct contestant *quiet, *connected;
    struct contestant *dropped[ENTRANTS];
    struct load_storm_result result;
    int64_t server_cpu_ns;
};

static const enum option_id storm_options[] = {
    OPTION_SUBSCRIBERS, OPTION_LIVE,    OPTION_SIZE,    OPTION_RATE,  OPTION_ADMIT,
    OPTION_DROP,        OPTION_TURN_MS, OPTION_GIVE_UP, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 100000;
    options->admits_per_s = 5000;
    options->turn_ms = 5000;
    options->give_up_s = 120;
}

static uint32_t live_of(const struct options *options)
{
    uint32_t share = options->subscribers / LIVE_SHARE + 1;
    return options->live > 0 ? options->live : share < LIVE_MAX ? share : LIVE_MAX;
}

static double rate_of(const struct options *options)
{
    return options->rate_count > 0 ? options->rates[0] : DELIVERIES_PER_S / options->subscribers;
}

/* ---- the server ---- */

/* History that reaches back as long as somebody may be away, and a little. */
static unsigned settings_write(const struct storm *storm, char texts[SETTINGS_MAX][SETTING_MAX])
{
    const struct options *options = storm->bench->options;
    double away_s = options->give_up_s + options->turn_ms / 1e3 + 30;
    double messages = ceil(rate_of(options) * away_s) + HISTORY_MESSAGES_MIN;
    double bytes = messages * (options->message_bytes + HISTORY_HEAD_BYTES);
    unsigned n = 0;
    snprintf(texts[n++], SETTING_MAX, "history_messages_max=%.0f", messages);
    snprintf(texts[n++], SETTING_MAX, "history_bytes_max=%.0f", bytes);
    snprintf(texts[n++], SETTING_MAX, "history_total_bytes_max=%.0f", bytes * (ENTRANTS + 2));
    snprintf(texts[n++], SETTING_MAX, "history_age_ms=%.0f", away_s * 1e3);
    if (storm->variant->admission) {
        snprintf(texts[n++], SETTING_MAX, "admits_per_s=%u", options->admits_per_s);
        snprintf(texts[n++], SETTING_MAX, "admit_wait_ms_max=%u", options->give_up_s * 1000);
    }
    return n;
}

static void note_settings(struct storm *storm, char texts[SETTINGS_MAX][SETTING_MAX],
                          unsigned count)
{
    char line[SETTINGS_MAX * SETTING_MAX] = "";
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, i ? ", %s" : "%s", texts[i]);
    result_note(&storm->bench->result, "%s: the server was set to %s.", storm->variant->name, line);
}

static int start_server(struct storm *storm)
{
    char texts[SETTINGS_MAX][SETTING_MAX];
    const char *settings[SETTINGS_MAX + 1] = {0};
    const struct options *options = storm->bench->options;
    unsigned count = settings_write(storm, texts);
    for (unsigned i = 0; i < count; i++)
        settings[i] = texts[i];
    note_settings(storm, texts, count);
    /* Twice as many: connections that are half gone stand beside those that come back. */
    return bench_server_start(storm->bench, 2 * options->subscribers + live_of(options), settings,
                              &storm->server);
}

/* ---- before the storm ---- */

static int ramp(struct storm *storm, unsigned index)
{
    const struct options *options = storm->bench->options;
    const struct load_ramp_config config = {
        .timeout_ns = RAMP_TIMEOUT_NS,
        .rate_per_s = storm->variant->admission ? options->admits_per_s : 0,
        .backoff = {BACKOFF_FIRST_MS, BACKOFF_MOST_MS, true},
    };
    struct entrant *entrant = &storm->field.entrants[index];
    watch_phase(storm->bench, "ramp", storm->variant->name, entrant->name);
    int err = load_idle(storm->field.load, NS_PER_MS, LOAD_ALL);
    if (err == 0)
        err = load_ramp(storm->field.load, index, &config, &entrant->ramp);
    if (err == 0 && entrant->ramp.failed > 0)
        err = bench_fail(-ECONNREFUSED, "%s: %u of %u clients did not connect", entrant->name,
                         entrant->ramp.failed, entrant->clients);
    return err;
}

static int open_dropped(struct storm *storm)
{
    static const enum load_transport transports[ENTRANTS] = {LOAD_SSE, LOAD_WEBSOCKET_ENVELOPE};
    static const char *const names[ENTRANTS] = {"sse", "websocket"};
    uint32_t subscribers = storm->bench->options->subscribers;
    field_init(&storm->field, storm->bench);
    for (unsigned i = 0; i < ENTRANTS; i++)
        field_add(&storm->field, names[i], KIND_TRANSPORT, transports[i], storm->server,
                  (subscribers + 1 - i) / ENTRANTS);
    int err = field_create(&storm->field);
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        err = ramp(storm, i);
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        err = field_settle(&storm->field, i);
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        storm->dropped[i] = field_contestant(&storm->field, i, storm->variant->name);
    return err;
}

static struct contestant *connected_contestant(struct storm *storm, const char *workload)
{
    struct contestant *contestant =
        result_add(&storm->bench->result, "connected", workload, KIND_TRANSPORT);
    contestant->connections = live_of(storm->bench->options);
    contestant->payload_bytes = storm->bench->options->message_bytes;
    contestant->corrected = histogram_create();
    assert(contestant->corrected);
    return contestant;
}

static int open_witness(struct storm *storm)
{
    const struct options *options = storm->bench->options;
    const struct witness_config config = {
        .target = storm->server->address,
        .transport = LOAD_WEBSOCKET_ENVELOPE,
        .channel = "bench-connected",
        .clients = live_of(options),
        .message_bytes = options->message_bytes,
        .rate_per_s = WITNESS_DELIVERIES_PER_S / live_of(options),
    };
    char why[BENCH_WHY_MAX], workload[RESULT_NAME_MAX];
    watch_phase(storm->bench, "ramp", storm->variant->name, "connected");
    int err = witness_start(&storm->witness, &config, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "%s", why);
    storm->bench->watch.witness = storm->witness;
    snprintf(workload, sizeof workload, "%s, before", storm->variant->name);
    storm->quiet = connected_contestant(storm, workload);
    storm->connected = connected_contestant(storm, storm->variant->name);
    return 0;
}

static int publish(struct storm *storm, double rate_per_s)
{
    const struct load_mode mode = {.rate_per_s = rate_per_s};
    int err = 0;
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        err = load_publish(storm->field.load, i, &mode);
    return err;
}

/* What the connected notice when nothing happens. */
static int quiet(struct storm *storm)
{
    watch_phase(storm->bench, "before", storm->variant->name, NULL);
    watch_lasts(storm->bench, storm->bench->options->turn_ms * NS_PER_MS);
    int err = publish(storm, rate_of(storm->bench->options));
    witness_into(storm->witness, storm->quiet->corrected);
    if (err == 0)
        err = load_idle(storm->field.load, storm->bench->options->turn_ms * NS_PER_MS, LOAD_ALL);
    return err;
}

/* ---- the storm ---- */

/* Where the curve of the report begins. */
static void sample_drop(struct storm *storm)
{
    struct sample sample = {
        .t_s = (double)(clock_now_ns() - storm->bench->result.started_ns) / NS_PER_S,
        .phase = storm->bench->watch.phase,
        .connections = load_up(storm->field.load, LOAD_ALL),
        .only_connections = true,
    };
    snprintf(sample.contestant, sizeof sample.contestant, "%s", storm->variant->name);
    result_sample(&storm->bench->result, &sample);
}

static int rage(struct storm *storm)
{
    const struct options *options = storm->bench->options;
    const struct load_storm config = {
        .share = 1,
        .orderly = options->drop_orderly,
        .in_flight = UINT32_MAX,
        .backoff = storm->variant->backoff,
        .timeout_ns = (int64_t)options->give_up_s * NS_PER_S,
    };
    const uint64_t groups = (UINT64_C(1) << ENTRANTS) - 1;
    watch_phase(storm->bench, "storm", storm->variant->name, NULL);
    witness_into(storm->witness, storm->connected->corrected);
    sample_drop(storm);
    storm->server_cpu_ns = process_cpu_ns(&storm->server->process);
    int err = load_storm(storm->field.load, groups, &config, &storm->result);
    storm->server_cpu_ns = process_cpu_ns(&storm->server->process) - storm->server_cpu_ns;
    witness_into(storm->witness, NULL);
    return err;
}

/* Publishing ends, and everybody gets what is still on its way. */
static int calm(struct storm *storm)
{
    watch_phase(storm->bench, "after", storm->variant->name, NULL);
    int err = publish(storm, 0);
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        err = load_catch_up(storm->field.load, i, CATCH_UP_NS);
    return err;
}

/* ---- what became of it ---- */

static void take_dropped(struct storm *storm, unsigned index, const struct load_counters *before)
{
    const struct load_counters *now = load_counters(storm->field.load, index);
    struct contestant *into = storm->dropped[index];
    static const struct load_ledger nothing;
    struct load_ledger ledger;
    into->reconnect = (struct reconnect){
        .dropped = storm->field.entrants[index].clients,
        .recovered = load_up(storm->field.load, index),
        .elapsed_ns = storm->result.recovered_ns,
        .has_costs = true,
        .shed = now->failures[LOAD_FAIL_SHED] - before->failures[LOAD_FAIL_SHED],
        .missed = now->missed - before->missed,
        .unrecovered = now->unrecovered - before->unrecovered,
        .server_cpu_ns = storm->server_cpu_ns,
        .client_cpu_ns = storm->result.client_cpu_ns,
    };
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
        into->reconnect.retries += now->failures[reason] - before->failures[reason];
    load_ledger_read(storm->field.load, index, &ledger);
    contestant_ledger(into, &nothing, &ledger);
    field_failures(&storm->field, index, into);
}

static void take_counters(struct storm *storm)
{
    struct capacity_counters after, growth;
    counters_read(&after, &storm->get);
    counters_growth(&growth, &storm->before, &after);
    storm->connected->counters = counters_json(&growth);
}

static void take_witness(struct storm *storm)
{
    static const struct load_ledger nothing;
    struct witness_report report;
    storm->bench->watch.witness = NULL;
    witness_stop(storm->witness, &report);
    storm->witness = NULL;
    contestant_ledger(storm->connected, &nothing, &report.ledger);
    storm->connected->closes = report.closes;
}

static int play(struct storm *storm)
{
    struct load_counters before[ENTRANTS];
    int err = open_dropped(storm);
    if (err == 0)
        err = open_witness(storm);
    if (err == 0)
        err = quiet(storm);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < ENTRANTS; i++)
        before[i] = *load_counters(storm->field.load, i);
    http_get_init(&storm->get, &storm->server->address);
    counters_read(&storm->before, &storm->get);
    err = rage(storm);
    if (err == 0)
        err = calm(storm);
    for (unsigned i = 0; err == 0 && i < ENTRANTS; i++)
        take_dropped(storm, i, &before[i]);
    take_counters(storm);
    http_get_done(&storm->get);
    return err;
}

/* A server of its own for each variant: what the last one left behind is not the next one's. */
static int run_variant(struct bench *bench, const struct variant *variant)
{
    struct storm *storm = calloc(1, sizeof *storm);
    assert(storm);
    storm->bench = bench;
    storm->variant = variant;
    int err = start_server(storm);
    if (err == 0)
        err = play(storm);
    if (storm->witness)
        take_witness(storm);
    field_close(&storm->field);
    if (storm->server) {
        int stopped = bench_server_stop(storm->server);
        err = err ? err : stopped;
        bench->server_count--;
    }
    free(storm);
    return err;
}

/* ---- what is said of it ---- */

static double p99_of(const struct result *result, const char *variant, const char *suffix)
{
    char workload[RESULT_NAME_MAX];
    snprintf(workload, sizeof workload, "%s%s", variant, suffix);
    const struct contestant *found = result_find(result, "connected", workload);
    return found ? (double)histogram_percentile(found->corrected, 99) : 0;
}

/* Sums over the transports of a variant. */
static struct reconnect reconnect_of(const struct result *result, const char *variant,
                                     uint64_t *ret_faults)
{
    struct reconnect sum = {0};
    *ret_faults = 0;
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (strcmp(contestant->workload, variant) != 0)
            continue;
        *ret_faults += contestant->ledger.lost + contestant->ledger.duplicate +
                       contestant->ledger.out_of_order;
        if (contestant->reconnect.dropped == 0)
            continue;
        sum.dropped += contestant->reconnect.dropped;
        sum.recovered += contestant->reconnect.recovered;
        sum.retries += contestant->reconnect.retries;
        sum.shed += contestant->reconnect.shed;
        sum.missed += contestant->reconnect.missed;
        sum.unrecovered += contestant->reconnect.unrecovered;
        sum.elapsed_ns = contestant->reconnect.elapsed_ns;
        sum.server_cpu_ns = contestant->reconnect.server_cpu_ns;
        sum.client_cpu_ns = contestant->reconnect.client_cpu_ns;
    }
    return sum;
}

static bool whole(const struct reconnect *reconnect)
{
    return reconnect->recovered == reconnect->dropped && reconnect->unrecovered == 0;
}

static void say_back(char text[RESULT_NAME_MAX], const struct reconnect *reconnect)
{
    snprintf(text, RESULT_NAME_MAX, "%u of %u back in %.1f s", reconnect->recovered,
             reconnect->dropped, (double)reconnect->elapsed_ns / NS_PER_S);
}

static void judge(struct result *result)
{
    uint64_t faults, at_once_faults;
    char back[RESULT_NAME_MAX], p99[4][TABLE_NUMBER_MAX];
    const char *name = variants[ADMISSION].name, *at_once_name = variants[AT_ONCE].name;
    struct reconnect admitted = reconnect_of(result, name, &faults);
    struct reconnect at_once = reconnect_of(result, at_once_name, &at_once_faults);
    say_back(back, &admitted);
    result_verdict(result, "A mass reconnect with resume loses nothing, publishing going on",
                   whole(&admitted) && faults == 0 ? "holds" : "fails",
                   "%s; %lu messages by replay, %lu positions gone, %lu faults in the ledger", back,
                   (unsigned long)admitted.missed, (unsigned long)admitted.unrecovered,
                   (unsigned long)faults);
    double ours = p99_of(result, name, ""), theirs = p99_of(result, at_once_name, "");
    result_verdict(
        result, "Who stays connected notices less of a storm when it is let in at a rate",
        ours < theirs ? "holds" : "fails",
        "p99 %s before and %s during the storm with admission, %s and %s without",
        number_time(p99[0], p99_of(result, name, ", before")), number_time(p99[1], ours),
        number_time(p99[2], p99_of(result, at_once_name, ", before")), number_time(p99[3], theirs));
    say_back(back, &at_once);
    result_verdict(result, "Reconnecting without jitter knocks the server over as it comes back",
                   whole(&at_once) && at_once_faults == 0 ? "fails" : "holds",
                   "%s, without jitter and without admission; %lu attempts failed", back,
                   (unsigned long)at_once.retries);
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct result *result = &bench->result;
    int err = bench_memory_check(options->subscribers + live_of(options));
    if (err == 0 && options->address)
        err = bench_fail(-EINVAL, "storm starts its own servers, with settings of their own");
    bench->watch.sample_every_ns = SAMPLE_NS;
    for (unsigned i = 0; err == 0 && i < VARIANTS; i++)
        err = run_variant(bench, &variants[i]);
    if (err < 0)
        return err;
    result_note(result,
                "%u clients, half SSE and half WebSocket with envelopes, %g messages/s on each of "
                "their two channels; %u others stayed connected, with %g messages/s. A raw "
                "WebSocket has no position to resume from and is not part of it.",
                options->subscribers, rate_of(options), live_of(options),
                WITNESS_DELIVERIES_PER_S / live_of(options));
    judge(result);
    return 0;
}

static void print_row(struct table *table, const struct result *result, const char *variant)
{
    uint64_t faults;
    char text[TABLE_NUMBER_MAX];
    struct reconnect sum = reconnect_of(result, variant, &faults);
    double elapsed = sum.elapsed_ns > 0 ? (double)sum.elapsed_ns : 1;
    table_row(table);
    table_cell(table, "%s", variant);
    table_cell(table, "%s", number_grouped(text, sum.recovered));
    table_cell(table, "%.1f s", (double)sum.elapsed_ns / NS_PER_S);
    table_cell(table, "%s", number_grouped(text, sum.shed));
    table_cell(table, "%s", number_grouped(text, sum.retries - sum.shed));
    table_cell(table, "%.2f", (double)sum.server_cpu_ns / elapsed);
    table_cell(table, "%.2f", (double)sum.client_cpu_ns / elapsed);
    table_cell(table, "%s", number_grouped(text, sum.missed));
    table_cell(table, "%s", number_grouped(text, sum.unrecovered));
    table_cell(table, "%s", number_grouped(text, faults));
    table_cell(table, "%s", number_time(text, p99_of(result, variant, ", before")));
    table_cell(table, "%s", number_time(text, p99_of(result, variant, "")));
}

static void print(const struct bench *bench)
{
    static struct table table;
    static const char *const heads[2][12] = {
        {"", "came", "all back", "told to", "failed", "CPU:", "CPU:", "messages", "positions",
         "ledger", "p99 before,", "during, of"},
        {"", "back", "after", "wait", "else", "server", "clients", "by replay", "gone", "faults",
         "of those who", "stayed"},
    };
    for (unsigned row = 0; row < 2; row++) {
        table_row(&table);
        for (unsigned i = 0; i < 12; i++)
            table_cell(&table, "%s", heads[row][i]);
    }
    for (unsigned i = 0; i < VARIANTS; i++)
        print_row(&table, &bench->result, variants[i].name);
    table_print(&table, stdout, 2);
}

const struct experiment experiment_storm = {
    .name = "storm",
    .use =
        {storm_options, "Everybody is cut off at once and comes back with a position.",
         "Three storms, each on a server of its own: with admission control, with jitter alone, "
         "and with neither. Clients that stay connected tell what they noticed. The server is "
         "given a history that reaches as far back as --give-up; --rate is by default what makes "
         "10,000 deliveries a second.\n\n"
         "  ringside-bench storm\n"
         "  ringside-bench storm --subscribers 5000 --admit 1000 --drop fin"},
    .defaults = defaults,
    .run = run,
    .print = print,
};
