/* churn: subscribers leave and come back by the thousand each second while publishing goes on; the
 * ledger says whether anybody who was there missed anything. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"
#include "output/figure.h"

static const enum option_id churn_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,        OPTION_TRANSPORT,  OPTION_STREAMS_EACH,
    OPTION_CHURN,       OPTION_DROP,        OPTION_RATE,       OPTION_DEPTH,
    OPTION_TURNS,       OPTION_TURN_MS,     OPTION_RTT,        OPTION_JITTER,
    OPTION_TLS,         OPTION_TLS_VERSION, OPTION_TLS_CIPHER, OPTION_TLS_RESUME,
    OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->shards = 2;
    options->subscribers = 5000;
    options->churn_per_s = 3000;
    options->rates[0] = 10;
    options->rate_count = 1;
    options->turns = 5;
    options->turn_ms = 2000;
    options->transports[0] = &protocol_websocket;
    options->transports[1] = &protocol_sse;
    options->transport_count = 2;
}

/* Adds a turn to the sums. */
static void take_churn(struct contestant *into, const struct load_churn_result *result,
                       struct load_churn_result *sum)
{
    sum->closed += result->closed;
    sum->reopened += result->reopened;
    sum->retries += result->retries;
    sum->elapsed_ns += result->elapsed_ns;
    contestant_figure(into, "reconnect",
                      json_pack("{s:I, s:I, s:I, s:o}", "dropped", (json_int_t)sum->closed,
                                "recovered", (json_int_t)sum->reopened, "retries",
                                (json_int_t)sum->retries, "elapsed_s",
                                figure_seconds(sum->elapsed_ns)));
}

static int churn_turn(struct field *field, unsigned index, const struct workload *workload,
                      unsigned round, struct contestant *into, struct load_churn_result *sum)
{
    const struct options *options = field->bench->options;
    const struct load_churn churn = {
        .rate_per_s = options->churn_per_s,
        .orderly = options->drop_orderly,
        .duration_ns = (int64_t)options->turn_ms * NS_PER_MS,
        .publish = workload->mode,
    };
    const struct process *process = &field->entrants[index].server->process;
    struct load_ledger before, after;
    struct load_churn_result result;
    struct strain_mark mark;
    struct turn turn = {.round = round};
    histogram_reset(load_latency(field->load, index));
    load_ledger_read(field->load, index, &before);
    strain_begin(&mark, process, options->server_cpus, options->client_cpus);
    int err = load_churn(field->load, index, &churn, &turn.load, &result);
    strain_end(&mark, &turn.strain);
    turn.server_cpu_ns = strain_charged_ns(&turn.strain.cost);
    if (err < 0)
        return err;
    load_ledger_read(field->load, index, &after);
    turn.start_s = (double)(turn.load.started_ns - field->bench->result.started_ns) / NS_PER_S;
    contestant_turn(into, &turn);
    contestant_ledger(into, &before, &after);
    watch_turn(field->bench, into->name, &turn, into);
    take_churn(into, &result, sum);
    if (workload->mode.depth == 0)
        histogram_merge(into->corrected, load_latency(field->load, index));
    return 0;
}

static int churn_all(struct field *field)
{
    const struct options *options = field->bench->options;
    struct workload workloads[FIELD_WORKLOADS_MAX];
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
    struct load_churn_result sums[FIELD_ENTRANTS_MAX] = {0};
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
            err = churn_turn(field, i, &workloads[0], round, contestants[i], &sums[i]);
        }
    }
    return err;
}

static int run(struct bench *bench)
{
    struct field field;
    field_init(&field, bench);
    int err = field_serve_ways(&field, bench->options->subscribers);
    if (err == 0)
        err = field_open(&field);
    if (err == 0)
        err = churn_all(&field);
    field_close(&field);
    return err;
}

const struct experiment experiment_churn = {
    .name = "churn",
    .use =
        {churn_options, "Subscribers come and go while messages are published.",
         "Those that can resume by position (SSE, polling) keep their ledger over the gap; a raw "
         "WebSocket joins anew, and its ledger counts from there. --churn is a schedule: when "
         "less came back, `limit` says which side was at its limit.\n\n"
         "  ringside-bench churn\n"
         "  ringside-bench churn --churn 5000 --rate 20 --transport sse"},
    .defaults = defaults,
    .run = run,
};
