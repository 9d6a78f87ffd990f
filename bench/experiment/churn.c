/* churn: subscribers leave and come back while publishing goes on; the ledger says whether anybody
 * who was there missed anything. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"
#include "output/table.h"

static const enum option_id churn_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,       OPTION_TRANSPORT,  OPTION_CHURN, OPTION_RATE,
    OPTION_DEPTH,       OPTION_TURNS,      OPTION_TURN_MS,    OPTION_RTT,   OPTION_JITTER,
    OPTION_TLS,         OPTION_TLS_CIPHER, OPTION_TLS_RESUME, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->shards = 2;
    options->subscribers = 5000;
    options->churn_per_s = 1000;
    options->rates[0] = 10;
    options->rate_count = 1;
    options->turns = 5;
    options->turn_ms = 2000;
    options->transports[0] = LOAD_WEBSOCKET;
    options->transports[1] = LOAD_SSE;
    options->transport_count = 2;
}

static int churn_turn(struct field *field, unsigned index, const struct workload *workload,
                      unsigned round, struct contestant *into, uint64_t *reopened)
{
    const struct options *options = field->bench->options;
    const struct load_churn churn = {
        .rate_per_s = options->churn_per_s,
        .duration_ns = (int64_t)options->turn_ms * NS_PER_MS,
        .publish = workload->mode,
    };
    const struct process *process = &field->entrants[index].server->process;
    struct load_ledger before, after;
    struct turn turn = {.round = round};
    uint64_t count = 0;
    load_ledger_read(field->load, index, &before);
    int64_t cpu_ns = process_cpu_ns(process);
    int err = load_churn(field->load, index, &churn, &turn.load, &count);
    turn.server_cpu_ns = process_cpu_ns(process) - cpu_ns;
    if (err < 0)
        return err;
    load_ledger_read(field->load, index, &after);
    turn.start_s = (double)(turn.load.started_ns - field->bench->result.started_ns) / NS_PER_S;
    contestant_turn(into, &turn);
    watch_turn(field->bench, into->name, &turn, into);
    contestant_ledger(into, &before, &after);
    *reopened += count;
    return 0;
}

static int churn_all(struct field *field)
{
    const struct options *options = field->bench->options;
    struct workload workloads[FIELD_WORKLOADS_MAX];
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
    uint64_t reopened[FIELD_ENTRANTS_MAX] = {0};
    int err = 0;
    if (field_workloads(options, workloads) != 1)
        return bench_fail(-EINVAL, "churn takes one --rate or one --depth");
    for (unsigned i = 0; i < field->count; i++)
        contestants[i] = field_contestant(field, i, "");
    watch_turns(field->bench, options->turns * field->count);
    for (unsigned round = 0; err == 0 && round < options->turns; round++) {
        for (unsigned i = 0; err == 0 && i < field->count; i++) {
            char detail[RESULT_NAME_MAX];
            snprintf(detail, sizeof detail, "round %u", round + 1);
            watch_phase(field->bench, "churn", field->entrants[i].name, detail);
            err = churn_turn(field, i, &workloads[0], round, contestants[i], &reopened[i]);
        }
    }
    for (unsigned i = 0; i < field->count; i++)
        contestant_note(contestants[i], "%lu connections were closed and opened again",
                        (unsigned long)reopened[i]);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    struct server *server;
    field_init(&field, bench);
    int err = bench_server_start(bench, options->subscribers * ways_count(options), NULL, &server);
    if (err == 0)
        err = field_add_ways(&field, server, options->subscribers);
    if (err == 0)
        err = field_open(&field);
    if (err == 0)
        err = churn_all(&field);
    field_close(&field);
    return err;
}

static void print(const struct bench *bench)
{
    static struct table table;
    static const char *const names[] = {"",        "deliveries", "lost",
                                        "doubled", "disordered", "deliveries/s"};
    char text[TABLE_NUMBER_MAX];
    table_row(&table);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        table_cell(&table, "%s", names[i]);
    for (unsigned i = 0; i < bench->result.contestant_count; i++) {
        const struct contestant *contestant = bench->result.contestants[i];
        table_row(&table);
        table_cell(&table, "%.31s", contestant->name);
        table_cell(&table, "%s", number_grouped(text, contestant->ledger.delivered));
        table_cell(&table, "%s", number_grouped(text, contestant->ledger.lost));
        table_cell(&table, "%s", number_grouped(text, contestant->ledger.duplicate));
        table_cell(&table, "%s", number_grouped(text, contestant->ledger.out_of_order));
        table_cell(&table, "%s",
                   number_short(text, contestant_deliveries_per_s(contestant).median));
    }
    table_print(&table, stdout, 1);
    for (unsigned i = 0; i < bench->result.contestant_count; i++)
        for (size_t n = 0; n < json_array_size(bench->result.contestants[i]->notes); n++)
            printf("  %s: %s\n", bench->result.contestants[i]->name,
                   json_string_value(json_array_get(bench->result.contestants[i]->notes, n)));
}

const struct experiment experiment_churn = {
    .name = "churn",
    .use =
        {churn_options, "Subscribers come and go while messages are published.",
         "Those that can resume by position (SSE, polling) keep their ledger over the gap; a raw "
         "WebSocket joins anew, and its ledger counts from there.\n\n"
         "  ringside-bench churn\n"
         "  ringside-bench churn --churn 5000 --rate 20 --transport sse"},
    .defaults = defaults,
    .run = run,
    .print = print,
};
