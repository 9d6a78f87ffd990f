/* storm: everybody is cut off at once and comes back with a position, while messages are published;
 * three times, each with a server of its own, and with --tls three times more for each cipher:
 *
 *   admission   admits_per_s, and clients that wait as the server tells them
 *   jitter      no admission; clients back off by themselves with full jitter
 *   at once     neither: all try at once, and at once again
 *
 *   ramp ─► settle ─► quiet: what the connected notice without a storm
 *                  ─► drop all ─► all back, or given up ─► publishing ends, all catch up ─► ledger
 *
 * What the storm costs is seen by the witness: clients that stay connected on a thread of their own
 * (witness.h). Raw WebSockets are not here: they have no position to come back with. Over TLS each
 * client comes back with the session of its last connection, as browsers do, and the server is
 * given room for the sessions of all. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/field.h"
#include "experiment/settings.h"
#include "experiment/witness.h"
#include "measure/clock.h"
#include "output/figure.h"

static const double DELIVERIES_PER_S = 10000; /* by default, of the storm's channels together */
static const double WITNESS_DELIVERIES_PER_S = 10000;
static const int64_t RAMP_TIMEOUT_NS = (int64_t)600 * NS_PER_S;
static const int64_t CATCH_UP_NS = (int64_t)120 * NS_PER_S;
static const int64_t SAMPLE_NS = (int64_t)250 * NS_PER_MS;

enum {
    ENTRANTS_MAX = 2,
    LIVE_SHARE = 10,
    LIVE_MAX = 2000,
    /* The back-off that docs/PROTOCOL.md asks of clients. */
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MOST_MS = 30000,
    HISTORY_MESSAGES_MIN = 128,
    HISTORY_HEAD_BYTES = 512, /* of a kept message, with slack */
};

enum storm_variant {
    STORM_ADMISSION,
    STORM_JITTER,
    STORM_AT_ONCE,
    STORM_VARIANTS,
};

static const struct variant {
    const char *name;
    bool admission;
    struct load_backoff backoff;
} variants[STORM_VARIANTS] = {
    [STORM_ADMISSION] = {"admission", true, {BACKOFF_FIRST_MS, BACKOFF_MOST_MS, true}},
    [STORM_JITTER] = {"jitter", false, {BACKOFF_FIRST_MS, BACKOFF_MOST_MS, false}},
    [STORM_AT_ONCE] = {"at once", false, {0}},
};

/* One variant while it runs, and what is said of it afterwards. */
struct storm {
    struct bench *bench;
    const struct variant *variant;
    const struct way *way;      /* of all its connections; the transport is not looked at */
    char name[RESULT_NAME_MAX]; /* its workload */
    struct field field;
    struct server *server;
    struct witness *witness;
    struct http_get get;
    struct capacity_counters before;
    struct contestant *quiet, *connected;
    struct contestant *dropped[ENTRANTS_MAX];
    struct load_storm_result result;
    int64_t server_cpu_ns;
    struct usage server_usage, client_usage; /* during the storm */
};

static const enum option_id storm_options[] = {
    OPTION_SUBSCRIBERS, OPTION_LIVE,
    OPTION_TRANSPORT,   OPTION_STREAMS_EACH,
    OPTION_SIZE,        OPTION_RATE,
    OPTION_ADMIT,       OPTION_DROP,
    OPTION_TURN_MS,     OPTION_GIVE_UP,
    OPTION_TLS,         OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER,  OPTION_TLS_RESUME_RAMP,
    OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = 100000;
    options->transports[0] = &protocol_sse;
    options->transports[1] = &protocol_websocket;
    options->transport_count = ENTRANTS_MAX;
    options->admits_per_s = 5000;
    options->turn_ms = 5000;
    options->give_up_s = 120;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
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
static void settings_make(const struct storm *storm, struct settings *ret)
{
    const struct options *options = storm->bench->options;
    double away_s = options->give_up_s + options->turn_ms / 1e3 + 30;
    double messages = ceil(rate_of(options) * away_s) + HISTORY_MESSAGES_MIN;
    double bytes = messages * (options->message_bytes + HISTORY_HEAD_BYTES);
    settings_add(ret, "history_messages_max=%.0f", messages);
    settings_add(ret, "history_bytes_max=%.0f", bytes);
    settings_add(ret, "history_total_bytes_max=%.0f", bytes * (ENTRANTS_MAX + 2));
    settings_add(ret, "history_age_ms=%.0f", away_s * 1e3);
    if (storm->variant->admission) {
        settings_add(ret, "admits_per_s=%u", options->admits_per_s);
        settings_add(ret, "admit_wait_ms_max=%u", options->give_up_s * 1000);
    }
}

static int start_server(struct storm *storm)
{
    struct settings settings = {0};
    const struct options *options = storm->bench->options;
    char line[SETTINGS_MAX * SETTING_MAX] = "";
    size_t len = 0;
    settings_make(storm, &settings);
    for (unsigned i = 0; i < settings.count; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, i ? ", %s" : "%s", settings.list[i]);
    result_note(&storm->bench->result, "%s: the server was set to %s.", storm->name, line);
    /* Twice as many: connections that are half gone stand beside those that come back. */
    return bench_server_start(storm->bench, 2 * options->subscribers + live_of(options),
                              settings.list, &storm->server);
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
    watch_phase(storm->bench, "ramp", storm->name, entrant->name);
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
    const struct options *options = storm->bench->options;
    const unsigned count = options->transport_count;
    int err = 0;
    field_init(&storm->field, storm->bench);
    for (unsigned i = 0; err == 0 && i < count; i++) {
        const struct protocol *transport = options->transports[i];
        const struct way way = {transport->resumes_as ? transport->resumes_as : transport,
                                storm->way->tls, storm->way->cipher};
        err = field_add_way(&storm->field, &way, storm->server,
                            (options->subscribers + count - 1 - i) / count);
        storm->field.entrants[i].name = transport->name;
        if (storm->field.entrants[i].resume == LOAD_RESUME_NONE)
            storm->field.entrants[i].resume = LOAD_RESUME_OWN;
    }
    if (err == 0)
        err = field_create(&storm->field);
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
        err = ramp(storm, i);
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
        err = field_settle(&storm->field, i);
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
        storm->dropped[i] = field_contestant(&storm->field, i, storm->name);
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
    const struct way *way = storm->way;
    const struct witness_config config = {
        .target = way->tls ? storm->server->tls_address : storm->server->address,
        .tls = way->tls ? bench_tls_client(storm->bench, way->cipher, &protocol_websocket_envelope)
                        : NULL,
        .transport = &protocol_websocket_envelope,
        .channel = "bench-connected",
        .clients = live_of(options),
        .message_bytes = options->message_bytes,
        .rate_per_s = WITNESS_DELIVERIES_PER_S / live_of(options),
    };
    char why[BENCH_WHY_MAX], workload[RESULT_NAME_MAX];
    watch_phase(storm->bench, "ramp", storm->name, "connected");
    int err = witness_start(&storm->witness, &config, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "%s", why);
    storm->bench->watch.witness = storm->witness;
    snprintf(workload, sizeof workload, "%.38s, before", storm->name);
    storm->quiet = connected_contestant(storm, workload);
    storm->connected = connected_contestant(storm, storm->name);
    return 0;
}

static int publish(struct storm *storm, double rate_per_s)
{
    const struct load_mode mode = {.rate_per_s = rate_per_s};
    int err = 0;
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
        err = load_publish(storm->field.load, i, &mode);
    return err;
}

/* What the connected notice when nothing happens. */
static int quiet(struct storm *storm)
{
    watch_phase(storm->bench, "before", storm->name, NULL);
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
    snprintf(sample.contestant, sizeof sample.contestant, "%s", storm->name);
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
    const uint64_t groups = (UINT64_C(1) << storm->field.count) - 1;
    struct strain_mark mark;
    struct strain strain;
    watch_phase(storm->bench, "storm", storm->name, NULL);
    witness_into(storm->witness, storm->connected->corrected);
    sample_drop(storm);
    strain_begin(&mark, &storm->server->process, options->server_cpus, options->client_cpus);
    int err = load_storm(storm->field.load, groups, &config, &storm->result);
    strain_end(&mark, &strain);
    storm->server_cpu_ns = strain_charged_ns(&strain.cost);
    const struct turn as_turn = {
        .server_cpu_ns = storm->server_cpu_ns,
        .strain = strain,
        .load = {.elapsed_ns = storm->result.recovered_ns,
                 .client_cpu_ns = storm->result.client_cpu_ns},
    };
    storm->server_usage = turn_server_usage(&as_turn, storm->server->cpus);
    storm->client_usage = turn_client_usage(&as_turn);
    witness_into(storm->witness, NULL);
    return err;
}

/* Publishing ends, and everybody gets what is still on its way. */
static int calm(struct storm *storm)
{
    watch_phase(storm->bench, "after", storm->name, NULL);
    int err = publish(storm, 0);
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
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
    uint64_t retries = 0;
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
        retries += now->failures[reason] - before->failures[reason];
    contestant_figure(
        into, "reconnect",
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "dropped",
                  (json_int_t)storm->field.entrants[index].clients, "recovered",
                  (json_int_t)load_up(storm->field.load, index), "retries", figure_count(retries),
                  "elapsed_s", figure_seconds(storm->result.recovered_ns), "shed",
                  figure_count(now->failures[LOAD_FAIL_SHED] - before->failures[LOAD_FAIL_SHED]),
                  "missed", figure_count(now->missed - before->missed), "unrecovered",
                  figure_count(now->unrecovered - before->unrecovered), "server_cpu_s",
                  figure_seconds(storm->server_cpu_ns), "client_cpu_s",
                  figure_seconds(storm->result.client_cpu_ns)));
    /* Its turns are none: which side was the limit is that of the storm. */
    enum saturated side = saturated_by(&storm->server_usage, &storm->client_usage);
    contestant_figure(into, "saturated", json_string(saturated_name(side)));
    contestant_figure(into, "client_bound", json_boolean(side == SATURATED_CLIENT));
    contestant_figure(into, "server_cpu_share", figure_number(storm->server_usage.used, 1e-4));
    contestant_figure(into, "client_cpu_share", figure_number(storm->client_usage.used, 1e-4));
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
    struct load_counters before[ENTRANTS_MAX] = {0};
    int err = open_dropped(storm);
    if (err == 0)
        err = open_witness(storm);
    if (err == 0)
        err = quiet(storm);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < storm->field.count; i++) {
        before[i] = *load_counters(storm->field.load, i);
        field_handshakes(&storm->field, i, NULL); /* those of the ramp are not the storm's */
    }
    http_get_init(&storm->get, &storm->server->address);
    counters_read(&storm->before, &storm->get);
    err = rage(storm);
    if (err == 0)
        err = calm(storm);
    for (unsigned i = 0; err == 0 && i < storm->field.count; i++)
        take_dropped(storm, i, &before[i]);
    take_counters(storm);
    http_get_done(&storm->get);
    return err;
}

/* A server of its own for each variant: what the last one left behind is not the next one's. */
static int run_variant(struct bench *bench, enum storm_variant variant, const struct way *way)
{
    struct storm *storm = calloc(1, sizeof *storm);
    assert(storm);
    storm->bench = bench;
    storm->variant = &variants[variant];
    storm->way = way;
    way_workload(storm->name, way, variants[variant].name);
    int err = start_server(storm);
    if (err == 0)
        err = play(storm);
    if (storm->witness)
        take_witness(storm);
    field_close(&storm->field);
    err = bench_server_end(bench, storm->server, err);
    free(storm);
    return err;
}

static int check_transports(const struct options *options)
{
    bool asked = false; /* by the clock, which nobody has in a storm */
    for (unsigned i = 0; i < options->transport_count; i++)
        asked |= options->transports[i]->is & PROTOCOL_BY_CLOCK;
    return options->transport_count > ENTRANTS_MAX || asked
               ? bench_fail(-EINVAL, "storm takes one --transport or two, and no short polls")
               : 0;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct result *result = &bench->result;
    int err = bench_memory_check(bench, options->subscribers + live_of(options), 0);
    if (err == 0 && options->address)
        err = bench_fail(-EINVAL, "storm starts its own servers, with settings of their own");
    if (err == 0)
        err = check_transports(options);
    bench->watch.sample_every_ns = SAMPLE_NS;
    struct way ways[WAYS_ANY_MAX];
    const unsigned way_count = ways_of_any(options, ways);
    for (unsigned w = 0; err == 0 && w < way_count; w++)
        for (int i = 0; err == 0 && i < STORM_VARIANTS; i++)
            err = run_variant(bench, (enum storm_variant)i, &ways[w]);
    if (err < 0)
        return err;
    result_note(result,
                "%u clients, evenly of each transport, %g messages/s on each of their channels; %u "
                "others stayed connected, with %g messages/s. A raw WebSocket has no position to "
                "resume from: WebSockets have envelopes here.",
                options->subscribers, rate_of(options), live_of(options),
                WITNESS_DELIVERIES_PER_S / live_of(options));
    return 0;
}

const struct experiment experiment_storm = {
    .name = "storm",
    .use =
        {storm_options, "Everybody is cut off at once and comes back with a position.",
         "Three storms, each on a server of its own: with admission control, with jitter alone, "
         "and with neither. Clients that stay connected tell what they noticed. The server is "
         "given a history that reaches as far back as --give-up; --rate is by default what makes "
         "10,000 deliveries a second. With --tls the same once more, publishers and witnesses too; "
         "who comes back resumes its TLS session, and the verdicts say how many did. The "
         "first time it is a handshake in full, at a thousand a second, but for --tls-resume-ramp. "
         "WebSockets have envelopes here, over HTTP/2 too.\n\n"
         "  ringside-bench storm\n"
         "  ringside-bench storm --tls --subscribers 20000\n"
         "  ringside-bench storm --subscribers 5000 --admit 1000 --drop fin\n"
         "  ringside-bench storm --transport h2-sse --streams 10"},
    .defaults = defaults,
    .run = run,
};
