#include "experiment/cluster_clients.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "measure/clock.h"

enum {
    HEARERS = 20, /* of a channel in trouble, on all nodes */
};

static const int64_t DRAIN_NS = (int64_t)20 * NS_PER_S;

static const struct purpose_row {
    const char *name, *channel;
    bool spread, publishes;
} rows[PURPOSES] = {
    [FOR_HISTORY] = {"history", "bench-history", true, true},
    [FOR_PLAIN] = {"plain", "live:plain", true, true},
    [FOR_FANOUT] = {"fanout", "bench-fanout", true, true},
    [FOR_WITHIN] = {"within", "bench-latency", false, true},
    [FOR_ACROSS] = {"across", "bench-latency", false, false},
    [FOR_TROUBLE] = {"trouble", "bench-trouble", true, true},
};

static const char *const names[PURPOSES][CLUSTER_NODES_MAX] = {
#define NAMES_OF(purpose)                                                                          \
    {                                                                                              \
        purpose "-1", purpose "-2", purpose "-3", purpose "-4"                                     \
    }
    NAMES_OF("history"), NAMES_OF("plain"),  NAMES_OF("fanout"),
    NAMES_OF("within"),  NAMES_OF("across"), NAMES_OF("trouble"),
#undef NAMES_OF
};

static uint32_t at_least_one(uint32_t count)
{
    return count > 0 ? count : 1;
}

static uint32_t count_of(const struct options *options, enum purpose purpose)
{
    switch (purpose) {
    case FOR_HISTORY:
    case FOR_PLAIN:
        return options->nodes;
    case FOR_FANOUT:
    case FOR_TROUBLE:
        return at_least_one(options->subscribers / options->nodes);
    case FOR_WITHIN:
    case FOR_ACROSS:
    case PURPOSES:
        break;
    }
    return at_least_one(options->subscribers / options->nodes / 2);
}

uint32_t clients_of_node(const struct options *options)
{
    /* A node may have those of another that was killed. */
    return 3 * options->subscribers + 4 * options->nodes * PURPOSES;
}

/* A message that all subscribers hear takes all CPU for its sake, and few of them prove little: by
 * default each has HEARERS, so that many are published while something is wrong. */
static uint32_t channels_of(const struct options *options, uint32_t clients)
{
    uint32_t channels = options->channels > 0 ? options->channels : clients / HEARERS;
    if (channels > LOAD_CHANNELS_MAX)
        channels = LOAD_CHANNELS_MAX;
    return at_least_one(channels < clients ? channels : clients);
}

static void add(struct clients *clients, enum purpose purpose, unsigned node)
{
    struct cluster *cluster = clients->cluster;
    const struct options *options = cluster->bench->options;
    const struct purpose_row *row = &rows[purpose];
    const bool raw = purpose == FOR_HISTORY || purpose == FOR_PLAIN;
    const unsigned at = purpose == FOR_ACROSS ? (node + 1) % cluster->count : node;
    struct entrant *entrant = field_add(&clients->field, names[purpose][node], KIND_TRANSPORT,
                                        raw ? &protocol_websocket : options->transports[0],
                                        cluster->nodes[at].server, count_of(options, purpose));
    snprintf(entrant->channel, sizeof entrant->channel, "%s-%u", row->channel, node + 1);
    entrant->publish_at = cluster->addresses[node];
    if (row->spread) {
        entrant->targets = cluster->addresses;
        entrant->target_count = cluster->count;
        entrant->publish_to = node;
    }
    if (!row->publishes)
        entrant->publish = NULL;
    if (purpose == FOR_TROUBLE) {
        entrant->publish = &protocol_post;
        entrant->certain = true;
        entrant->channels = channels_of(options, entrant->clients);
    }
}

int clients_open(struct clients *clients, struct cluster *cluster, bool trouble)
{
    *clients = (struct clients){.cluster = cluster, .purposes = trouble ? PURPOSES : FOR_TROUBLE};
    field_init(&clients->field, cluster->bench);
    clients->field.memory_unread = true;
    clients->field.anew = true;
    if (cluster->lab.apart) {
        clients->field.from = lab_source(&cluster->lab);
        clients->field.from_count = LAB_SOURCES;
    }
    for (unsigned purpose = 0; purpose < clients->purposes; purpose++) {
        clients->first[purpose] = clients->field.count;
        for (unsigned node = 0; node < cluster->count; node++)
            add(clients, (enum purpose)purpose, node);
    }
    return field_open(&clients->field);
}

struct contestant *clients_contestant(struct clients *clients, const char *name,
                                      const char *workload, enum purpose purpose)
{
    struct bench *bench = clients->cluster->bench;
    struct contestant *contestant = result_add(&bench->result, name, workload, KIND_TRANSPORT);
    for (unsigned i = 0; i < clients->cluster->count; i++) {
        contestant->connections += load_links_up(clients->field.load, clients->first[purpose] + i);
        contestant->subscribers += load_up(clients->field.load, clients->first[purpose] + i);
    }
    contestant->payload_bytes = bench->options->message_bytes;
    contestant->server_cpus = clients->cluster->nodes[0].server->cpus;
    contestant->corrected = histogram_create();
    contestant->uncorrected = histogram_create();
    assert(contestant->corrected && contestant->uncorrected);
    return contestant;
}

/* ---- ledgers ---- */

void clients_ledgers(const struct clients *clients, enum purpose purpose,
                     struct load_ledger ret[CLUSTER_NODES_MAX])
{
    for (unsigned i = 0; i < clients->cluster->count; i++)
        load_ledger_read(clients->field.load, clients->first[purpose] + i, &ret[i]);
}

void clients_ledger(struct clients *clients, enum purpose purpose,
                    const struct load_ledger before[CLUSTER_NODES_MAX], struct contestant *into)
{
    struct load_ledger after[CLUSTER_NODES_MAX];
    clients_ledgers(clients, purpose, after);
    for (unsigned i = 0; i < clients->cluster->count; i++)
        contestant_ledger(into, &before[i], &after[i]);
}

void clients_failures(struct clients *clients, enum purpose purpose, struct contestant *into)
{
    for (unsigned i = 0; i < clients->cluster->count; i++)
        field_failures(&clients->field, clients->first[purpose] + i, into);
}

/* ---- turns ---- */

static void sum(struct turn *turn, const struct load_turn *loads, unsigned count)
{
    turn->load = loads[0];
    for (unsigned i = 1; i < count; i++) {
        struct load_turn *into = &turn->load;
        into->publishes += loads[i].publishes;
        into->deliveries += loads[i].deliveries;
        into->incomplete += loads[i].incomplete;
        into->missing += loads[i].missing;
        into->bytes_in += loads[i].bytes_in;
        into->bytes_out += loads[i].bytes_out;
        into->payload_bytes += loads[i].payload_bytes;
        into->framed_bytes += loads[i].framed_bytes;
        if (loads[i].elapsed_ns > into->elapsed_ns)
            into->elapsed_ns = loads[i].elapsed_ns;
        if (loads[i].client_cpu_ns > into->client_cpu_ns)
            into->client_cpu_ns = loads[i].client_cpu_ns;
    }
    turn->load.burst_ns = turn->load.burst_cpu_ns = 0; /* of each for itself */
}

static void latencies(struct clients *clients, enum purpose purpose, bool open_loop,
                      struct contestant *into)
{
    for (unsigned i = 0; i < clients->cluster->count; i++) {
        unsigned group = clients->first[purpose] + i;
        if (open_loop)
            histogram_merge(into->corrected, load_latency(clients->field.load, group));
        histogram_merge(into->uncorrected, load_latency_uncorrected(clients->field.load, group));
    }
}

static void latencies_reset(struct clients *clients, enum purpose purpose)
{
    for (unsigned i = 0; i < clients->cluster->count; i++) {
        histogram_reset(load_latency(clients->field.load, clients->first[purpose] + i));
        histogram_reset(load_latency_uncorrected(clients->field.load, clients->first[purpose] + i));
    }
}

int clients_turn(struct clients *clients, enum purpose purpose, const struct load_mode *mode,
                 unsigned round, struct contestant *into, struct turn *ret)
{
    struct bench *bench = clients->cluster->bench;
    const unsigned count = clients->cluster->count;
    const int64_t duration_ns = (int64_t)bench->options->turn_ms * NS_PER_MS;
    struct load_ledger before[CLUSTER_NODES_MAX];
    struct load_turn loads[CLUSTER_NODES_MAX];
    unsigned groups[CLUSTER_NODES_MAX];
    for (unsigned i = 0; i < count; i++)
        groups[i] = clients->first[purpose] + i;
    watch_phase(bench, into ? "turns" : "warm-up", rows[purpose].name, NULL);
    watch_lasts(bench, duration_ns);
    clients_ledgers(clients, purpose, before);
    latencies_reset(clients, purpose);
    int64_t cpu_ns = cluster_nodes_cpu_ns(clients->cluster);
    int err =
        load_run_together(clients->field.load, groups, count, duration_ns, DRAIN_NS, mode, loads);
    if (err < 0)
        return err == -EINTR ? err
                             : bench_fail(err, "the publishers of %s: %s", rows[purpose].name,
                                          strerror(-err));
    *ret = (struct turn){.round = round};
    sum(ret, loads, count);
    ret->server_cpu_ns = cluster_nodes_cpu_ns(clients->cluster) - cpu_ns;
    ret->start_s = (double)(ret->load.started_ns - bench->result.started_ns) / NS_PER_S;
    if (into) {
        contestant_turn(into, ret);
        clients_ledger(clients, purpose, before, into);
        latencies(clients, purpose, mode->depth == 0, into);
    }
    watch_turn(bench, into ? into->name : NULL, ret, into);
    return 0;
}
