/* cluster_trouble:
 *
 *   publishes on all nodes ─► calm ─► kill or cut ─► away ─► start or mend ─► calm ─► all back,
 *                                                                       all have all ─► ledgers
 *
 * Each publisher has one message under way. What a node refuses by name it asks again, under the
 * same number; what nobody knows the end of is a doubt: whoever has it has it once. So whatever the
 * ledger lacks was acknowledged, and is lost. */
#include "experiment/cluster_trouble.h"

#include <errno.h>
#include <string.h>

#include "measure/clock.h"
#include "output/figure.h"

static const int64_t CALM_NS = (int64_t)1 * NS_PER_S;
static const int64_t CATCH_UP_NS = (int64_t)60 * NS_PER_S;

static int kill_node(struct cluster *cluster)
{
    cluster_kill_node(cluster, cluster->count - 1);
    return 0;
}

static int start_node(struct cluster *cluster)
{
    return cluster_start_node(cluster, cluster->count - 1);
}

static int kill_engine(struct cluster *cluster)
{
    cluster_kill_engine(cluster);
    return 0;
}

static int cut(struct cluster *cluster)
{
    return cluster_cut(cluster, cluster->count - 1, true);
}

static int mend(struct cluster *cluster)
{
    return cluster_cut(cluster, cluster->count - 1, false);
}

struct step {
    const char *name;
    bool asked;
    int (*hit)(struct cluster *cluster);
    int (*heal)(struct cluster *cluster);
};

static void counters_sum(const struct clients *clients, struct load_counters *ret)
{
    *ret = (struct load_counters){0};
    for (unsigned i = 0; i < clients->cluster->count; i++) {
        const struct load_counters *from =
            load_counters(clients->field.load, clients->first[FOR_TROUBLE] + i);
        ret->missed += from->missed;
        ret->unrecovered += from->unrecovered;
        ret->acknowledged += from->acknowledged;
        ret->refused += from->refused;
        ret->doubts += from->doubts;
        ret->doubtful += from->doubtful;
        for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
            ret->closes[0] += from->closes[reason];
    }
}

/* Publishes on all groups, or ends that. */
static int publish(struct clients *clients, double rate_per_s)
{
    const struct load_mode mode = {.rate_per_s = rate_per_s / clients->cluster->count};
    int err = 0;
    for (unsigned i = 0; err == 0 && i < clients->cluster->count; i++)
        err = load_publish(clients->field.load, clients->first[FOR_TROUBLE] + i, &mode);
    return err;
}

/* All come back whoever has ended them. */
static int pass(struct clients *clients, int64_t duration_ns)
{
    uint64_t random = 0;
    const struct load_chaos chaos = {.duration_ns = duration_ns, .random = &random};
    struct load_chaos_result result;
    return load_chaos(clients->field.load, &chaos, &result);
}

/* Everybody hears one more, also who has come back behind the last. */
static int calm(struct clients *clients)
{
    int err = load_chaos_end(clients->field.load, CATCH_UP_NS);
    for (unsigned i = 0; err == 0 && i < clients->cluster->count; i++)
        err = field_settle(&clients->field, clients->first[FOR_TROUBLE] + i);
    return err == 0 ? load_chaos_end(clients->field.load, CATCH_UP_NS) : err;
}

static uint64_t acknowledged(const struct clients *clients)
{
    struct load_counters sum;
    counters_sum(clients, &sum);
    return sum.acknowledged;
}

/* Also says how many publishes were acknowledged between the blow and the cure. */
static int suffer(struct clients *clients, const struct step *step, uint64_t *ret_meanwhile)
{
    struct cluster *cluster = clients->cluster;
    const struct options *options = cluster->bench->options;
    const int64_t away_ns = (int64_t)options->away_s * NS_PER_S;
    watch_phase(cluster->bench, "trouble", step->name, NULL);
    watch_lasts(cluster->bench, away_ns + 2 * CALM_NS);
    int err = publish(clients, options->rates[0]);
    if (err == 0)
        err = pass(clients, CALM_NS);
    *ret_meanwhile = acknowledged(clients);
    if (err == 0)
        err = step->hit(cluster);
    if (err == 0)
        err = pass(clients, away_ns);
    *ret_meanwhile = acknowledged(clients) - *ret_meanwhile;
    if (err == 0)
        err = step->heal(cluster);
    if (err == 0)
        err = pass(clients, CALM_NS);
    return err == 0 ? calm(clients) : err;
}

static void take(struct clients *clients, const struct step *step,
                 const struct load_counters *before, uint64_t meanwhile,
                 const struct load_ledger ledgers[CLUSTER_NODES_MAX])
{
    struct load_counters after;
    counters_sum(clients, &after);
    struct contestant *into = clients_contestant(clients, "ringside", step->name, FOR_TROUBLE);
    uint32_t wanted = 0;
    for (unsigned i = 0; i < clients->cluster->count; i++)
        wanted += clients->field.entrants[clients->first[FOR_TROUBLE] + i].clients;
    clients_ledger(clients, FOR_TROUBLE, ledgers, into);
    json_t *figure = json_object();
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"clients", wanted},
        {"up", into->subscribers},
        {"missed", after.missed - before->missed},
        {"ended", after.closes[0] - before->closes[0]},
        {"unrecovered", after.unrecovered - before->unrecovered},
        {"acknowledged", after.acknowledged - before->acknowledged},
        {"meanwhile", meanwhile},
        {"refused", after.refused - before->refused},
        {"doubts", after.doubts - before->doubts},
        {"doubtful", after.doubtful - before->doubtful},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(figure, counts[i].name, figure_count(counts[i].value));
    contestant_figure(into, "trouble", figure);
}

int trouble_run(struct clients *clients)
{
    const struct options *options = clients->cluster->bench->options;
    const struct step steps[] = {
        {"a node is killed", options->kill_node, kill_node, start_node},
        {"the engine is killed", options->kill_engine, kill_engine, cluster_start_engine},
        {"a node is cut off", options->partition, cut, mend},
    };
    int err = 0;
    if (options->partition && !clients->cluster->lab.apart)
        return bench_fail(-EPERM, "--partition needs namespaces, which need root");
    for (size_t i = 0; err == 0 && i < sizeof steps / sizeof steps[0]; i++) {
        struct load_counters before;
        uint64_t meanwhile;
        struct load_ledger ledgers[CLUSTER_NODES_MAX];
        if (!steps[i].asked)
            continue;
        counters_sum(clients, &before);
        clients_ledgers(clients, FOR_TROUBLE, ledgers);
        err = suffer(clients, &steps[i], &meanwhile);
        if (err == 0)
            take(clients, &steps[i], &before, meanwhile, ledgers);
        else if (err != -EINTR)
            bench_fail(err, "%s: %s", steps[i].name, strerror(-err));
    }
    for (unsigned purpose = 0; purpose < clients->purposes; purpose++)
        clients_failures(clients, (enum purpose)purpose, NULL);
    return err;
}
