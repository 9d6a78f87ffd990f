/* cluster: several nodes that share their channels through one engine.
 *
 *   engine, nodes, clients ─► rounds of turns ─► latencies at half of the fan-out's rate ─► trouble
 *
 *     publish, with history       all nodes publish, and all hear; beside it redis-benchmark, with
 *                                 the same script
 *     publish, without history    likewise where nothing is kept; beside it PUBLISH
 *     fan-out                     subscribers of all nodes hear a publisher of each */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/cluster_ceiling.h"
#include "experiment/cluster_clients.h"
#include "experiment/cluster_trouble.h"
#include "measure/clock.h"
#include "output/figure.h"

static const int64_t AWAIT_NS = (int64_t)10 * NS_PER_S;

enum {
    SUBSCRIBERS = 4000,
    FANOUT_DEPTH = 4,
    PUBLISH_DEPTH = 128,
};

/* What is measured in rounds. */
enum part {
    PART_HISTORY,
    PART_SCRIPT,
    PART_PLAIN,
    PART_PUBLISH,
    PART_FANOUT,
    PARTS,
};

/* Lists of a turn each. */
struct figures {
    json_t *publishes, *elapsed_s, *engine_cpu_s;
};

struct run {
    struct bench *bench;
    struct cluster cluster;
    struct clients clients;
    struct ceiling ceiling;
    struct contestant *contestants[PARTS];
    struct figures figures[PARTS];
    double fanout_per_s; /* publishes of one node, of the slowest turn */
};

static const struct {
    const char *name, *workload;
    enum purpose purpose;
    bool bare;
    enum ceiling_kind kind;
} parts[PARTS] = {
    [PART_HISTORY] = {"ringside", "publish, with history", FOR_HISTORY, false, CEILING_KINDS},
    [PART_SCRIPT] = {"redis-benchmark", "publish, with history", PURPOSES, true, CEILING_SCRIPT},
    [PART_PLAIN] = {"ringside", "publish, without history", FOR_PLAIN, false, CEILING_KINDS},
    [PART_PUBLISH] = {"redis-benchmark", "publish, without history", PURPOSES, true, CEILING_PLAIN},
    [PART_FANOUT] = {"ringside", "fan-out", FOR_FANOUT, false, CEILING_KINDS},
};

static const enum option_id cluster_options[] = {
    OPTION_NODES,     OPTION_BROKER,      OPTION_FSYNC,     OPTION_SUBSCRIBERS, OPTION_SIZE,
    OPTION_TRANSPORT, OPTION_DEPTH,       OPTION_TURNS,     OPTION_TURN_MS,     OPTION_WARMUP,
    OPTION_KILL_NODE, OPTION_KILL_ENGINE, OPTION_PARTITION, OPTION_AWAY,        OPTION_CHANNELS,
    OPTION_RATE,      OPTION_ENGINE_CPUS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->nodes = 2;
    options->broker = "redis";
    options->fsync = "everysec";
    options->subscribers = SUBSCRIBERS;
    options->transports[0] = &protocol_websocket_envelope;
    options->transport_count = 1;
    options->depths[0] = PUBLISH_DEPTH;
    options->depth_count = 1;
    options->depths_given = true; /* --rate is that of the trouble, and takes no one's place */
    options->turns = 5;
    options->channels = 0; /* as many as leave a message few hearers */
    options->rates[0] = 100;
    options->rate_count = 1;
    options->away_s = 5;
}

/* Debian has no benchmark of NATS. */
static bool has_ceiling(const struct run *run)
{
    return strcmp(run->bench->options->broker, "redis") == 0;
}

/* ---- turns ---- */

static int bare_turn(struct run *run, enum part part, bool counted)
{
    const struct options *options = run->bench->options;
    struct ceiling_turn turn = {0};
    watch_phase(run->bench, counted ? "turns" : "warm-up", parts[part].name, parts[part].workload);
    int err = ceiling_run(&run->ceiling, parts[part].kind, options->depths[0],
                          (int64_t)options->turn_ms * NS_PER_MS, &turn);
    /* Nobody was read meanwhile: what has come, and pings. */
    if (err == 0)
        err = load_idle(run->clients.field.load, NS_PER_MS, LOAD_ALL);
    if (err < 0 || !counted)
        return err;
    json_array_append_new(run->figures[part].publishes, figure_count(turn.count));
    json_array_append_new(run->figures[part].elapsed_s, figure_seconds(turn.elapsed_ns));
    json_array_append_new(run->figures[part].engine_cpu_s, figure_seconds(turn.engine_cpu_ns));
    return 0;
}

static int own_turn(struct run *run, enum part part, unsigned round, bool counted)
{
    const bool fanout = part == PART_FANOUT;
    const struct load_mode mode = {.depth = fanout ? FANOUT_DEPTH : run->bench->options->depths[0]};
    const struct process *engine = &run->cluster.engine;
    struct turn turn;
    int64_t cpu_ns = process_cpu_ns(engine);
    int err = clients_turn(&run->clients, parts[part].purpose, &mode, round,
                           counted ? run->contestants[part] : NULL, &turn);
    if (err < 0 || !counted)
        return err;
    double per_s =
        (double)turn.load.publishes * NS_PER_S / (double)turn.load.elapsed_ns / run->cluster.count;
    if (fanout && (run->fanout_per_s == 0 || per_s < run->fanout_per_s))
        run->fanout_per_s = per_s;
    json_array_append_new(run->figures[part].publishes, figure_count(turn.load.publishes));
    json_array_append_new(run->figures[part].elapsed_s, figure_seconds(turn.load.elapsed_ns));
    json_array_append_new(run->figures[part].engine_cpu_s,
                          figure_seconds(process_cpu_ns(engine) - cpu_ns));
    return 0;
}

static int one_turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct run *run = context;
    if (parts[at].bare && !has_ceiling(run))
        return 0;
    return parts[at].bare ? bare_turn(run, (enum part)at, counted)
                          : own_turn(run, (enum part)at, round, counted);
}

static void part_begin(struct run *run, enum part part)
{
    struct figures *figures = &run->figures[part];
    *figures = (struct figures){json_array(), json_array(), json_array()};
    if (!parts[part].bare) {
        run->contestants[part] = clients_contestant(&run->clients, parts[part].name,
                                                    parts[part].workload, parts[part].purpose);
        return;
    }
    run->contestants[part] =
        result_add(&run->bench->result, parts[part].name, parts[part].workload, KIND_CEILING);
    run->contestants[part]->connections = run->cluster.count;
}

static void part_end(struct run *run, enum part part)
{
    struct figures *figures = &run->figures[part];
    json_t *figure = json_pack("{s:i, s:o, s:o, s:o}", "nodes", (int)run->cluster.count,
                               "publishes", figures->publishes, "elapsed_s", figures->elapsed_s,
                               "engine_cpu_s", figures->engine_cpu_s);
    contestant_figure(run->contestants[part], "cluster", figure);
    if (!parts[part].bare)
        clients_failures(&run->clients, parts[part].purpose, run->contestants[part]);
}

static int rounds(struct run *run)
{
    const struct options *options = run->bench->options;
    for (unsigned part = 0; part < PARTS; part++)
        if (!parts[part].bare || has_ceiling(run))
            part_begin(run, (enum part)part);
    watch_turns(run->bench, PARTS * (options->warmup_turns + options->turns));
    int err = field_take_turns(&run->clients.field, PARTS, one_turn, run);
    for (unsigned part = 0; part < PARTS; part++)
        if (!parts[part].bare || has_ceiling(run))
            part_end(run, (enum part)part);
    return err;
}

/* ---- latency ---- */

/* Those who publish nothing have no turn of their own: what they heard in that of the others. */
static int hear_across(struct run *run)
{
    struct load *load = run->clients.field.load;
    int err = 0;
    for (unsigned i = 0; err == 0 && i < run->cluster.count; i++) {
        const struct load_counters *within =
            load_counters(load, run->clients.first[FOR_WITHIN] + i);
        err = load_await(load, run->clients.first[FOR_ACROSS] + i, within->published, AWAIT_NS);
    }
    return err;
}

static void take_across(struct run *run, const struct load_ledger before[CLUSTER_NODES_MAX],
                        struct contestant *into)
{
    struct load *load = run->clients.field.load;
    for (unsigned i = 0; i < run->cluster.count; i++) {
        const unsigned group = run->clients.first[FOR_ACROSS] + i;
        const struct load_counters *within =
            load_counters(load, run->clients.first[FOR_WITHIN] + i);
        struct load_ledger after;
        load_ledger_read(load, group, &after);
        after.lost += load_lacking(load, group, within->published);
        contestant_ledger(into, &before[i], &after);
        histogram_merge(into->corrected, load_latency(load, group));
        histogram_merge(into->uncorrected, load_latency_uncorrected(load, group));
    }
}

static int latency(struct run *run)
{
    const struct options *options = run->bench->options;
    const struct load_mode mode = {.rate_per_s = run->fanout_per_s / 2};
    char workload[RESULT_NAME_MAX];
    struct load_ledger before[CLUSTER_NODES_MAX];
    struct turn turn;
    snprintf(workload, sizeof workload, "latency, at half of that rate");
    struct contestant *within =
        clients_contestant(&run->clients, "within a node", workload, FOR_WITHIN);
    struct contestant *across =
        clients_contestant(&run->clients, "across nodes", workload, FOR_ACROSS);
    watch_turns(run->bench, options->warmup_turns + options->turns);
    int err = 0;
    for (unsigned i = 0; err == 0 && i < options->warmup_turns; i++)
        err = clients_turn(&run->clients, FOR_WITHIN, &mode, i, NULL, &turn);
    if (err == 0)
        err = hear_across(run);
    clients_ledgers(&run->clients, FOR_ACROSS, before);
    for (unsigned i = 0; i < run->cluster.count; i++) {
        unsigned group = run->clients.first[FOR_ACROSS] + i;
        histogram_reset(load_latency(run->clients.field.load, group));
        histogram_reset(load_latency_uncorrected(run->clients.field.load, group));
    }
    for (unsigned i = 0; err == 0 && i < options->turns; i++)
        err = clients_turn(&run->clients, FOR_WITHIN, &mode, i, within, &turn);
    if (err == 0)
        err = hear_across(run);
    take_across(run, before, across);
    clients_failures(&run->clients, FOR_WITHIN, within);
    clients_failures(&run->clients, FOR_ACROSS, across);
    result_note(&run->bench->result, "Latencies are those at %.0f messages/s of each node.",
                mode.rate_per_s);
    return err;
}

/* ---- the whole ---- */

static int check(const struct options *options)
{
    static const char *const fsyncs[] = {"no", "everysec", "always"};
    bool known = false;
    for (size_t i = 0; i < sizeof fsyncs / sizeof fsyncs[0]; i++)
        known |= strcmp(options->fsync, fsyncs[i]) == 0;
    if (!known)
        return bench_fail(-EINVAL, "--fsync is no, everysec or always");
    if (strcmp(options->broker, "redis") != 0 && strcmp(options->broker, "nats") != 0)
        return bench_fail(-EINVAL, "--broker is redis or nats");
    if (options->address)
        return bench_fail(-EINVAL, "cluster starts its own nodes: --address is of no use");
    if (options->transport_count != 1 || options->transports[0]->is & PROTOCOL_BY_CLOCK)
        return bench_fail(-EINVAL, "cluster takes one --transport, and no short polls");
    if (options->rate_count != 1 || options->depth_count != 1)
        return bench_fail(-EINVAL, "cluster takes one --rate and one --depth");
    if (options->subscribers < 2 * options->nodes)
        return bench_fail(-EINVAL, "cluster takes at least two --subscribers for each node");
    return 0;
}

static void note(const struct run *run)
{
    const struct options *options = run->bench->options;
    result_note(
        &run->bench->result,
        "%u nodes and %s (fsync: %s), %s. The engine's own benchmark, if it has one, had %u "
        "connections with %u commands in the pipeline.",
        run->cluster.count, options->broker, options->fsync,
        run->cluster.lab.apart ? "each in a network namespace with an address of its own"
                               : "on ports of the loopback",
        run->cluster.count, options->depths[0]);
}

static int play(struct run *run)
{
    const struct options *options = run->bench->options;
    const bool trouble = options->kill_node || options->kill_engine || options->partition;
    int err = clients_open(&run->clients, &run->cluster, trouble);
    if (err == 0 && has_ceiling(run))
        err = ceiling_learn(&run->ceiling, &run->cluster);
    if (err == 0)
        err = rounds(run);
    if (err == 0)
        err = latency(run);
    if (err == 0 && trouble)
        err = trouble_run(&run->clients);
    if (err == 0)
        note(run);
    field_close(&run->clients.field);
    if (run->ceiling.text)
        ceiling_done(&run->ceiling);
    return err;
}

static int run_cluster(struct bench *bench)
{
    static const char *const settings[] = {
        "websocket_publish=on",       "live:history_messages=0", "history_messages_max=10000",
        "history_bytes_max=16777216", "heartbeat_ms=25000",      NULL,
    };
    static struct run run;
    int err = check(bench->options);
    if (err < 0)
        return err;
    run.bench = bench;
    err = cluster_start(&run.cluster, bench, clients_of_node(bench->options), settings);
    if (err == 0)
        err = play(&run);
    return cluster_stop(&run.cluster, err);
}

const struct experiment experiment_cluster = {
    .name = "cluster",
    .use =
        {cluster_options, "Several nodes around one engine: rates, latency across, trouble.",
         "Starts an engine and --nodes servers, each in a network namespace with an address of "
         "its own where root allows it. All nodes publish and all hear: with a history and "
         "without, beside the same commands under redis-benchmark; to --subscribers on all nodes; "
         "and at half of that rate, with latencies within a node and across. Then, where asked "
         "for, a node or the engine is killed and started, or a node cut off from the engine, "
         "under --rate publishes a second; every client must have every message that was "
         "acknowledged, once and in order, or be told \"not recovered\".\n\n"
         "  ringside-bench cluster\n"
         "  ringside-bench cluster --nodes 4 --kill-node --partition --away-seconds 10\n"
         "  ringside-bench cluster --fsync always --kill-engine --channels 100"},
    .defaults = defaults,
    .run = run_cluster,
};
