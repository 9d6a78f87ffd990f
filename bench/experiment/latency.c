/* latency: from an event to a client, for each transport and round-trip time, beside the budget
 * that is usually quoted for it.
 *
 *     publisher ───────────────► server ◄── relay, rtt/2 each way ──► subscribers
 *     both ways: publisher ── relay ──► server ──── the same relay ──► subscribers
 *
 * All are connected at once and get the clock in turns. The publisher is beside the server, so that
 * the time is that of the way to the client; for "both ways" a message crosses twice, as an echo
 * would. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"
#include "output/table.h"

enum {
    RTTS_MAX = 4,
    ROWS_MAX = FIELD_ENTRANTS_MAX,
};

static const char BOTH_WAYS[] = "websocket both ways";

static const enum option_id latency_options[] = {
    OPTION_RTTS,      OPTION_JITTER,        OPTION_SUBSCRIBERS, OPTION_SIZE,
    OPTION_TRANSPORT, OPTION_RATE,          OPTION_TURNS,       OPTION_TURN_MS,
    OPTION_WARMUP,    OPTION_POLL_INTERVAL, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const enum load_transport all[] = {LOAD_POLL, LOAD_LONGPOLL, LOAD_SSE, LOAD_WEBSOCKET};
    static const uint32_t rtts[] = {0, 10, 150};
    memcpy(options->transports, all, sizeof all);
    options->transport_count = sizeof all / sizeof all[0];
    memcpy(options->rtts, rtts, sizeof rtts);
    options->rtt_count = sizeof rtts / sizeof rtts[0];
    options->subscribers = 20;
    options->rates[0] = 4;
    options->rate_count = 1;
    options->turns = 3;
    options->turn_ms = 1000;
    options->warmup_turns = 0;
}

/* What is usually quoted: half the interval and a round trip for polling; a round trip where each
 * message is an answer or an event stream; half of it one way over a WebSocket. */
static double budget_ms(const struct options *options, const char *name, uint32_t rtt_ms)
{
    if (strcmp(name, "poll") == 0)
        return options->poll_interval_ms / 2.0 + rtt_ms;
    return strcmp(name, "websocket") == 0 ? rtt_ms / 2.0 : rtt_ms;
}

/* ---- running ---- */

static void add(struct field *field, struct server *server, const struct path *path,
                enum load_transport transport, bool both_ways)
{
    const struct options *options = field->bench->options;
    struct entrant *entrant =
        field_add(field, both_ways ? BOTH_WAYS : options_transport_name(transport), KIND_TRANSPORT,
                  transport, server, options->subscribers);
    snprintf(entrant->channel, sizeof entrant->channel, "latency-%u", field->count);
    entrant->publish_through = both_ways;
    if (path)
        entrant->reach = path->address;
}

static int add_rtt(struct field *field, struct server *server, uint32_t rtt_ms)
{
    const struct options *options = field->bench->options;
    const struct path *path = NULL;
    int err = 0;
    if (rtt_ms > 0)
        err = bench_path_start(field->bench, server, rtt_ms,
                               (options->subscribers + 2) * (options->transport_count + 1), &path);
    for (unsigned i = 0; err == 0 && i < options->transport_count; i++) {
        add(field, server, path, options->transports[i], false);
        if (options->transports[i] == LOAD_WEBSOCKET)
            add(field, server, path, LOAD_WEBSOCKET, true);
    }
    return err;
}

static int rounds(struct field *field, struct contestant *const contestants[])
{
    const struct options *options = field->bench->options;
    const struct load_mode mode = {.rate_per_s = options->rates[0]};
    const int64_t duration_ns = (int64_t)options->turn_ms * NS_PER_MS;
    const unsigned total = options->warmup_turns + options->turns;
    watch_turns(field->bench, total * field->count);
    for (unsigned round = 0; round < total; round++) {
        bool counted = round >= options->warmup_turns;
        for (unsigned i = 0; i < field->count; i++) {
            watch_phase(field->bench, counted ? "turns" : "warm-up", contestants[i]->name,
                        contestants[i]->workload);
            int err =
                field_turn(field, i, &mode, duration_ns, round, counted ? contestants[i] : NULL);
            if (err < 0)
                return err;
        }
    }
    return 0;
}

static int race(struct field *field)
{
    const struct options *options = field->bench->options;
    struct contestant *contestants[ROWS_MAX] = {0};
    const unsigned each = field->count / options->rtt_count;
    int err = field_open(field);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < field->count; i++) {
        char workload[RESULT_NAME_MAX];
        uint32_t rtt_ms = options->rtts[i / each];
        snprintf(workload, sizeof workload, "RTT %u ms", rtt_ms);
        contestants[i] = field_contestant(field, i, workload);
        contestants[i]->quoted_ns =
            (int64_t)(budget_ms(options, contestants[i]->name, rtt_ms) * NS_PER_MS);
    }
    err = rounds(field, contestants);
    for (unsigned i = 0; i < field->count; i++)
        field_failures(field, i, contestants[i]);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    struct server *server;
    if (options->rtt_count == 0 || options->rtt_count > RTTS_MAX || options->rate_count != 1)
        return bench_fail(-EINVAL, "latency takes one --rate and 1 to %d round-trip times",
                          RTTS_MAX);
    field_init(&field, bench);
    field.memory_unread = true;
    const uint32_t groups = options->rtt_count * (options->transport_count + 1);
    int err = bench_server_start(bench, options->subscribers * groups, NULL, &server);
    for (unsigned i = 0; err == 0 && i < options->rtt_count; i++)
        err = add_rtt(&field, server, options->rtts[i]);
    if (err == 0)
        err = race(&field);
    field_close(&field);
    return err;
}

/* ---- the table ---- */

static void print_row(struct table *table, const struct options *options,
                      const struct contestant *contestant, uint32_t rtt_ms)
{
    char text[TABLE_NUMBER_MAX];
    table_row(table);
    table_cell(table, "%.31s", contestant->workload);
    table_cell(table, "%.31s", contestant->name);
    table_cell(table, "%g ms", budget_ms(options, contestant->name, rtt_ms));
    for (int i = 0; i < 3; i++) {
        static const double percents[] = {50, 99, 100};
        double ns = (double)histogram_percentile(contestant->corrected, percents[i]);
        table_cell(table, "%s", number_time(text, ns));
    }
}

static void print(const struct bench *bench)
{
    static struct table table;
    static const char *const names[] = {"", "", "usually quoted", "p50", "p99", "max"};
    table_row(&table);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        table_cell(&table, "%s", names[i]);
    const struct options *options = bench->options;
    const unsigned count = bench->result.contestant_count;
    for (unsigned i = 0; i < count; i++)
        print_row(&table, options, bench->result.contestants[i],
                  options->rtts[i * options->rtt_count / count]);
    table_print(&table, stdout, 1);
}

const struct experiment experiment_latency = {
    .name = "latency",
    .use =
        {latency_options, "Latency of each transport at several round-trip times.",
         "From the intended time of a message, published beside the server, to its receipt by a "
         "subscriber behind a relay that delays each direction by half the round-trip time; "
         "\"both ways\" is published behind it too. The relay's own lateness is in the notes.\n\n"
         "  ringside-bench latency\n"
         "  ringside-bench latency --rtt-ms 40 --jitter-ms 10 --transport sse,websocket"},
    .defaults = defaults,
    .run = run,
    .print = print,
};
