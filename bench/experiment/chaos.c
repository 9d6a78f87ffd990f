/* chaos: clients of every protocol, whose connections end at random for minutes, under publishes,
 * while the server is stopped and continued, and perhaps restarted. Every client must see every
 * message once and in order, or be told that it cannot.
 *
 *   ramp ─► settle ─┬► cuts ─► SIGSTOP … SIGCONT, or a restart ─┬► cuts ─► all back, all have all
 *                   └──────────────────◄────────────────────────┘                    └► ledgers
 *
 * Who comes back with a position keeps its ledger over the gap. Who is told "not recovered" begins
 * a new one, and is counted; so does a raw WebSocket, which has no position. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"
#include "output/figure.h"
#include "phantom/random.h"

static const int64_t CATCH_UP_NS = (int64_t)120 * NS_PER_S;
static const int64_t RUSH_NS = (int64_t)500 * NS_PER_MS;

enum {
    CLIENTS = 1000,
    STOP_MS_LEAST = 200, /* how long the server stands still */
    STOP_MS_MOST = 3000,
    AWAY_S = 60, /* the longest that anybody may be away: history reaches back as far */
    HISTORY_MESSAGES_MIN = 128,
    HISTORY_HEAD_BYTES = 512, /* of a kept message, with slack */
    SETTING_MAX = 64,
};

struct chaos {
    struct field field;
    struct server *server;
    uint64_t random;
    uint64_t cut, retries;
    uint64_t stopped_ms;
};

static const enum option_id chaos_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,          OPTION_TRANSPORT,   OPTION_STREAMS_EACH, OPTION_CUTS,
    OPTION_SECONDS,     OPTION_STOPS,         OPTION_RESTARTS,    OPTION_TOKENS,       OPTION_RATE,
    OPTION_HEARTBEAT,   OPTION_POLL_INTERVAL, OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const struct protocol *const all[] = {
        &protocol_websocket, &protocol_websocket_envelope, &protocol_sse,    &protocol_poll,
        &protocol_longpoll,  &protocol_centrifuge,         &protocol_h2_sse, &protocol_h2_longpoll,
    };
    options->subscribers = CLIENTS;
    options->seconds = 300;
    options->cuts_per_s = 100;
    options->stops = 10;
    options->rates[0] = 10;
    options->rate_count = 1;
    options->streams_each = 10;
    options->heartbeat_ms = 5000;
    options->seed = 1;
    memcpy(options->transports, all, sizeof all);
    options->transport_count = sizeof all / sizeof all[0];
}

/* ---- before ---- */

static int start_server(struct chaos *chaos)
{
    const struct options *options = chaos->field.bench->options;
    char messages[SETTING_MAX], bytes[SETTING_MAX], total[SETTING_MAX], age[SETTING_MAX],
        heartbeat[SETTING_MAX];
    double kept = ceil(options->rates[0] * AWAY_S) + HISTORY_MESSAGES_MIN;
    double size = kept * (options->message_bytes + HISTORY_HEAD_BYTES);
    snprintf(messages, sizeof messages, "history_messages_max=%.0f", kept);
    snprintf(bytes, sizeof bytes, "history_bytes_max=%.0f", size);
    snprintf(total, sizeof total, "history_total_bytes_max=%.0f", size * FIELD_ENTRANTS_MAX);
    snprintf(age, sizeof age, "history_age_ms=%d", 2 * AWAY_S * 1000);
    snprintf(heartbeat, sizeof heartbeat, "heartbeat_ms=%u", options->heartbeat_ms);
    const char *const settings[] = {messages, bytes, total, age, "drain_ms=0", heartbeat, NULL};
    return bench_server_start(chaos->field.bench, 2 * options->subscribers, settings,
                              &chaos->server);
}

/* The clients are shared among the transports. */
static int open_field(struct chaos *chaos)
{
    const struct options *options = chaos->field.bench->options;
    const unsigned count = options->transport_count;
    int err = 0;
    for (unsigned i = 0; err == 0 && i < count; i++) {
        const struct way way = {.transport = options->transports[i]};
        err = field_add_way(&chaos->field, &way, chaos->server,
                            (options->subscribers + count - 1 - i) / count);
    }
    chaos->field.memory_unread = true;
    chaos->field.anew = true;
    return err == 0 ? field_open(&chaos->field) : err;
}

static int publish(struct chaos *chaos)
{
    const struct load_mode mode = {.rate_per_s = chaos->field.bench->options->rates[0]};
    int err = 0;
    for (unsigned i = 0; err == 0 && i < chaos->field.count; i++)
        err = load_publish(chaos->field.load, i, &mode);
    return err;
}

/* ---- meanwhile ---- */

static int cuts(struct chaos *chaos, int64_t duration_ns)
{
    const struct load_chaos config = {
        .cuts_per_s = chaos->field.bench->options->cuts_per_s,
        .duration_ns = duration_ns,
        .random = &chaos->random,
    };
    struct load_chaos_result result;
    int err = load_chaos(chaos->field.load, &config, &result);
    chaos->cut += result.cut;
    chaos->retries += result.retries;
    return err;
}

/* The server stands still while connections are cut, and others knock. */
static int stand_still(struct chaos *chaos)
{
    uint64_t stop_ms = STOP_MS_LEAST + random_next(&chaos->random) % (STOP_MS_MOST - STOP_MS_LEAST);
    pid_t pid = chaos->server->process.pid;
    watch_phase(chaos->field.bench, "stopped", "the server", NULL);
    if (pid <= 0 || kill(pid, SIGSTOP) < 0)
        return bench_fail(-ESRCH, "the server cannot be stopped: it is not ours");
    int err = cuts(chaos, (int64_t)stop_ms * NS_PER_MS);
    kill(pid, SIGCONT);
    chaos->stopped_ms += stop_ms;
    return err;
}

static int restart(struct chaos *chaos)
{
    watch_phase(chaos->field.bench, "restarted", "the server", NULL);
    return bench_server_restart(chaos->field.bench, chaos->server);
}

/* What happens is shuffled by the seed, and the time between shared. */
static int rage(struct chaos *chaos)
{
    const struct options *options = chaos->field.bench->options;
    unsigned stops = options->stops, restarts = options->restarts;
    int64_t each_ns = (int64_t)options->seconds * NS_PER_S / (stops + restarts + 1);
    watch_rest(chaos->field.bench, (int64_t)options->seconds * NS_PER_S);
    int err = publish(chaos);
    while (err == 0) {
        watch_phase(chaos->field.bench, "cuts", NULL, NULL);
        err = cuts(chaos, each_ns);
        if (err < 0 || stops + restarts == 0)
            break;
        if (random_next(&chaos->random) % (stops + restarts) < stops) {
            stops--;
            err = stand_still(chaos);
        } else {
            restarts--;
            err = restart(chaos);
        }
    }
    return err;
}

/* ---- after ---- */

static int calm(struct chaos *chaos)
{
    int err = cuts(chaos, RUSH_NS);
    watch_phase(chaos->field.bench, "after", NULL, NULL);
    if (err == 0)
        err = load_chaos_end(chaos->field.load, CATCH_UP_NS);
    /* Everybody hears one more, also who has come back behind the last. */
    for (unsigned i = 0; err == 0 && i < chaos->field.count; i++)
        err = field_settle(&chaos->field, i);
    return err == 0 ? load_chaos_end(chaos->field.load, CATCH_UP_NS) : err;
}

static void take(struct chaos *chaos, unsigned index)
{
    static const struct load_ledger nothing;
    const struct load_counters *counters = load_counters(chaos->field.load, index);
    const struct entrant *entrant = &chaos->field.entrants[index];
    struct contestant *into = field_contestant(&chaos->field, index, "");
    struct load_ledger ledger;
    uint64_t ended = 0;
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
        ended += counters->closes[reason];
    if (chaos->field.bench->options->restarts > 0)
        field_failures(&chaos->field, index, NULL);
    load_ledger_read(chaos->field.load, index, &ledger);
    contestant_ledger(into, &nothing, &ledger);
    contestant_figure(into, "chaos",
                      json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "clients",
                                (json_int_t)entrant->clients, "up",
                                (json_int_t)load_up(chaos->field.load, index), "missed",
                                (json_int_t)counters->missed, "ended", (json_int_t)ended,
                                "unrecovered", (json_int_t)counters->unrecovered, "positioned",
                                entrant->transport->resumes_as == NULL));
}

static void note(const struct chaos *chaos)
{
    const struct options *options = chaos->field.bench->options;
    result_note(
        &chaos->field.bench->result,
        "%lu connections were cut, half of them by a reset; the server was stopped %u times "
        "for %.1f s together, and restarted %u times; %lu attempts to connect failed. "
        "Seed %u.",
        (unsigned long)chaos->cut, options->stops, (double)chaos->stopped_ms / 1e3,
        options->restarts, (unsigned long)chaos->retries, options->seed);
}

static int run(struct bench *bench)
{
    struct chaos chaos = {.random = bench->options->seed};
    field_init(&chaos.field, bench);
    if (bench->options->rate_count != 1)
        return bench_fail(-EINVAL, "chaos takes one --rate");
    int err = start_server(&chaos);
    if (err == 0)
        err = open_field(&chaos);
    if (err == 0)
        err = rage(&chaos);
    if (err == 0)
        err = calm(&chaos);
    for (unsigned i = 0; err == 0 && i < chaos.field.count; i++)
        take(&chaos, i);
    if (err == 0)
        note(&chaos);
    field_close(&chaos.field);
    return err;
}

const struct experiment experiment_chaos = {
    .name = "chaos",
    .use =
        {chaos_options,
         "Connections end at random under publishes; the server is stopped, and restarted.",
         "Every client must see every message once and in order, or be told \"not recovered\". The "
         "clients of --subscribers are shared among the transports. A raw WebSocket has no "
         "position: it joins anew, and its ledger counts from there.\n\n"
         "  ringside-bench chaos\n"
         "  ringside-bench chaos --seconds 60 --restarts 3 --seed 7"},
    .defaults = defaults,
    .run = run,
};
