/* webhooks: events that are posted to endpoints, of which some are slow, broken or dead.
 *
 *   two servers, each with as many endpoints: all of one answer at once; of the other a tenth does
 *   not. Their turns alternate, so that the machine is the same for both.
 *
 *     as many as are accepted     posters wait for each answer; beside it the same posts straight
 *                                 to the receivers, which is what this loop of clients can do
 *     latency                     at half of that rate: from when an event was to be posted until
 *                                 it has arrived at an endpoint that answers at once
 *
 *   and a third, whose shards have a CPU that its courier has not: webhooks_push.h */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "experiment/bench.h"
#include "experiment/webhooks_home.h"
#include "experiment/webhooks_loop.h"
#include "experiment/webhooks_push.h"
#include "measure/clock.h"
#include "measure/cpus.h"
#include "output/figure.h"

enum {
    ENDPOINTS = 1000,
    POSTERS = 64,
    SLOW_MS = 30000,
    TROUBLE_ONE_IN = 10,
};

static const int64_t DRAIN_NS = (int64_t)30 * NS_PER_S; /* after a turn */
static const int64_t END_NS = (int64_t)60 * NS_PER_S;   /* for what is tried again */

enum party {
    PARTY_STRAIGHT,
    PARTY_WELL,
    PARTY_TROUBLE,
    PARTY_PUSH, /* its courier has a CPU that its shards have not */
    PARTIES
};

enum part {
    PART_STRAIGHT,
    PART_WELL,
    PART_LATENCY_WELL,
    PART_LATENCY_TROUBLE,
    PARTS
};

static const struct {
    const char *name, *workload;
    enum party party;
    bool latency;
} parts[PARTS] = {
    [PART_STRAIGHT] = {"straight", "as many as are accepted", PARTY_STRAIGHT, false},
    [PART_WELL] = {"ringside", "as many as are accepted", PARTY_WELL, false},
    [PART_LATENCY_WELL] = {"all well", "latency, at half of that rate", PARTY_WELL, true},
    [PART_LATENCY_TROUBLE] = {"a tenth in trouble", "latency, at half of that rate", PARTY_TROUBLE,
                              true},
};

/* Lists of a turn each. */
struct figures {
    json_t *accepted, *arrived, *elapsed_s, *drained_s, *server_cpu_s, *bench_cpu_s;
    uint64_t refused;
};

struct run {
    struct bench *bench;
    struct webhooks_loop *loops[PARTIES]; /* that of the push path is a process's own */
    struct webhooks_set sets[PARTIES];
    struct server *servers[PARTIES];
    enum behaviour *behaviours[PARTIES];
    struct contestant *contestants[PARTS];
    struct figures figures[PARTS];
    struct webhooks_home home;
    double rate_per_s; /* of the slowest turn */
    bool has_push;
};

static const enum option_id webhooks_options[] = {
    OPTION_ENDPOINTS, OPTION_UNDER_WAY, OPTION_RATE,  OPTION_TURNS,
    OPTION_TURN_MS,   OPTION_WARMUP,    OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->endpoints = ENDPOINTS;
    options->connections = POSTERS;
    options->turns = 5;
    options->turn_ms = 2000;
}

/* ---- servers and their endpoints ---- */

static int set_make(struct run *run, enum party party)
{
    struct webhooks_set *set = &run->sets[party];
    uint32_t endpoints =
        party == PARTY_PUSH ? WEBHOOKS_PUSH_CHANNELS : run->bench->options->endpoints;
    enum behaviour *behaviours = calloc(endpoints, sizeof *behaviours);
    set->events = calloc(EVENTS_MAX, sizeof *set->events);
    set->endpoints = endpoints;
    set->key = run->home.key;
    set->straight = party == PARTY_STRAIGHT;
    set->server = webhooks_loop_address(run->loops[party]);
    set->behaviours = run->behaviours[party] = behaviours;
    if (!behaviours || !set->events)
        return bench_fail(-ENOMEM, "no memory for %d events", EVENTS_MAX);
    for (uint32_t i = 0; party == PARTY_TROUBLE && i < endpoints; i += TROUBLE_ONE_IN)
        behaviours[i] = RECEIVER_SLOW + i / TROUBLE_ONE_IN % (BEHAVIOURS - RECEIVER_SLOW);
    webhooks_loop_set(run->loops[party], party, set);
    return 0;
}

static int server_make(struct run *run, enum party party)
{
    const uint32_t channels = run->sets[party].endpoints;
    const uint32_t endpoints =
        party == PARTY_PUSH ? webhooks_push_endpoints(run->bench->options) : channels;
    run->bench->beside_clients = party == PARTY_PUSH;
    int err = webhooks_home_serve(&run->home, run->bench, party, run->loops[party], endpoints,
                                  channels, &run->servers[party]);
    run->bench->beside_clients = false;
    if (err == 0)
        run->sets[party].server = run->servers[party]->address;
    return err;
}

static int all_make(struct run *run)
{
    int err = webhooks_loop_create(&run->loops[0], SLOW_MS);
    if (err == 0 && run->has_push)
        err = webhooks_loop_create(&run->loops[PARTY_PUSH], SLOW_MS);
    if (err == 0)
        err = webhooks_home_make(&run->home);
    for (int party = 0; party < (run->has_push ? PARTIES : PARTY_PUSH) && err == 0; party++) {
        if (party != PARTY_PUSH)
            run->loops[party] = run->loops[0];
        err = set_make(run, (enum party)party);
        if (err == 0 && party != PARTY_STRAIGHT)
            err = server_make(run, (enum party)party);
    }
    return err;
}

static void all_free(struct run *run)
{
    for (int party = 0; party < PARTIES; party++) {
        free(run->sets[party].events);
        free(run->behaviours[party]);
    }
    webhooks_loop_free(run->loops[0]);
    webhooks_loop_free(run->loops[PARTY_PUSH]);
    webhooks_home_remove(&run->home);
}

/* ---- turns ---- */

/* CPU time, of a server and of this loop. */
struct used {
    int64_t server_ns, bench_ns;
};

static struct used used_now(const struct run *run, enum party party)
{
    const struct server *server = run->servers[party];
    return (struct used){server ? process_cpu_ns(&server->process) : 0,
                         clock_read_ns(CLOCK_THREAD_CPUTIME_ID)};
}

static void note_turn(struct run *run, enum part part, uint64_t accepted, uint64_t arrived,
                      int64_t elapsed_ns, int64_t drained_ns, const struct used *used)
{
    struct figures *figures = &run->figures[part];
    json_array_append_new(figures->accepted, figure_count(accepted));
    json_array_append_new(figures->arrived, figure_count(arrived));
    json_array_append_new(figures->elapsed_s, figure_seconds(elapsed_ns));
    json_array_append_new(figures->drained_s, figure_seconds(drained_ns));
    json_array_append_new(figures->server_cpu_s, figure_seconds(used->server_ns));
    json_array_append_new(figures->bench_cpu_s, figure_seconds(used->bench_ns));
    double rate = (double)arrived * NS_PER_S / (double)(elapsed_ns + drained_ns);
    if (part == PART_WELL && (run->rate_per_s == 0 || rate < run->rate_per_s))
        run->rate_per_s = rate;
}

static int turn(struct run *run, enum part part, bool counted)
{
    const struct options *options = run->bench->options;
    const enum party party = parts[part].party;
    struct webhooks_set *set = &run->sets[party];
    const uint64_t accepted = set->accepted, arrived = set->taken_fast, refused = set->refused;
    double rate = options->rate_count > 0 ? options->rates[0] : run->rate_per_s / 2;
    const struct used before = used_now(run, party);
    int64_t began_ns = clock_now_ns();
    watch_phase(run->bench, counted ? "turns" : "warm-up", parts[part].name, parts[part].workload);
    set->latency = counted && parts[part].latency ? run->contestants[part]->corrected : NULL;
    int err =
        webhooks_loop_post(run->loops[0], set, options->connections, parts[part].latency ? rate : 0,
                           (int64_t)options->turn_ms * NS_PER_MS);
    int64_t posted_ns = clock_now_ns();
    if (err == 0)
        err = webhooks_loop_drain(run->loops[0], set, false, DRAIN_NS);
    if (err == 0 && counted) {
        struct used used = used_now(run, party);
        used.server_ns -= before.server_ns;
        used.bench_ns -= before.bench_ns;
        note_turn(run, part, set->accepted - accepted, set->taken_fast - arrived,
                  posted_ns - began_ns, clock_now_ns() - posted_ns, &used);
        run->figures[part].refused += set->refused - refused;
    }
    return err;
}

/* The order alternates: who is first in one round is last in the next. */
static int rounds(struct run *run, enum part first, enum part last)
{
    const struct options *options = run->bench->options;
    const int count = (int)(last - first + 1);
    int err = 0;
    for (unsigned round = 0; round < options->warmup_turns + options->turns; round++)
        for (int i = 0; i < count && err == 0; i++)
            err = turn(run, (enum part)((int)first + (round % 2 == 0 ? i : count - 1 - i)),
                       round >= options->warmup_turns);
    return err;
}

static void part_begin(struct run *run, enum part part)
{
    run->figures[part] = (struct figures){
        json_array(), json_array(), json_array(), json_array(), json_array(), json_array(), 0};
    run->contestants[part] =
        result_add(&run->bench->result, parts[part].name, parts[part].workload,
                   parts[part].party == PARTY_STRAIGHT ? KIND_CEILING : KIND_TRANSPORT);
    run->contestants[part]->connections = run->bench->options->connections;
    run->contestants[part]->subscribers = run->bench->options->endpoints;
    if (parts[part].latency) {
        run->contestants[part]->corrected = histogram_create();
        assert(run->contestants[part]->corrected);
    }
}

static void part_end(struct run *run, enum part part)
{
    struct figures *figures = &run->figures[part];
    contestant_figure(run->contestants[part], "webhooks",
                      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "accepted",
                                figures->accepted, "arrived", figures->arrived, "elapsed_s",
                                figures->elapsed_s, "drained_s", figures->drained_s, "server_cpu_s",
                                figures->server_cpu_s, "bench_cpu_s", figures->bench_cpu_s,
                                "refused", figure_count(figures->refused)));
}

/* What became of all events of a server: a contestant of its own, with a ledger. */
static void account(struct run *run, enum party party)
{
    const struct webhooks_set *set = &run->sets[party];
    uint64_t repeated = 0, renamed = 0, expected = 0;
    for (uint32_t n = 0; n < set->posted; n++) {
        const struct event *event = &set->events[n];
        enum behaviour behaviour = set->behaviours[n % set->endpoints];
        bool takes = behaviour == RECEIVER_FAST || behaviour == RECEIVER_FLAPPING;
        expected += takes && event->accepted;
        repeated += takes && event->taken > 1 ? event->taken - 1u : 0;
        renamed += event->renamed;
    }
    struct contestant *contestant =
        result_add(&run->bench->result, party == PARTY_WELL ? "all well" : "a tenth in trouble",
                   "all of the run", KIND_TRANSPORT);
    contestant->connections = run->bench->options->connections;
    contestant->subscribers = set->endpoints;
    contestant->has_ledger = true;
    contestant->ledger.expected = expected;
    contestant->ledger.lost = webhooks_set_lacking(set, 0);
    contestant->ledger.delivered = expected - contestant->ledger.lost;
    contestant->ledger.corrupt = renamed;
    contestant_figure(contestant, "deliveries",
                      json_pack("{s:o, s:o, s:o, s:o, s:o}", "accepted",
                                figure_count(set->accepted), "refused", figure_count(set->refused),
                                "unanswered", figure_count(set->failed), "tries",
                                figure_count(set->came), "repeated", figure_count(repeated)));
}

static int play(struct run *run)
{
    for (int part = 0; part < PARTS; part++)
        part_begin(run, (enum part)part);
    int err = rounds(run, PART_STRAIGHT, PART_WELL);
    if (err == 0)
        err = rounds(run, PART_LATENCY_WELL, PART_LATENCY_TROUBLE);
    for (int part = 0; part < PARTS; part++)
        part_end(run, (enum part)part);
    for (int party = PARTY_WELL; party < PARTY_PUSH && err == 0; party++)
        err = webhooks_loop_drain(run->loops[0], &run->sets[party], true, END_NS);
    for (int party = PARTY_WELL; party < PARTY_PUSH; party++)
        account(run, (enum party)party);
    const struct options *options = run->bench->options;
    result_note(
        &run->bench->result,
        "Latencies are those at %.0f events/s. In trouble are one in %d endpoints: slow "
        "(%d s), failing, flapping, dead, and one byte a second, as many of each; what failed is "
        "tried again after 1 to 2 s.",
        options->rate_count > 0 ? options->rates[0] : run->rate_per_s / 2, TROUBLE_ONE_IN,
        SLOW_MS / 1000);
    return err;
}

/* Otherwise nothing can be said of a courier on the other CPU. */
static bool has_two_sides(struct bench *bench)
{
    cpu_set_t server, clients, both;
    if (cpus_parse(&server, bench->options->server_cpus) < 0 ||
        cpus_parse(&clients, bench->options->client_cpus) < 0)
        return false;
    CPU_AND(&both, &server, &clients);
    if (CPU_COUNT(&both) > 0)
        result_note(&bench->result, "The push path beside a courier at full load was left out: "
                                    "server and clients share a CPU.");
    return CPU_COUNT(&both) == 0;
}

static int run_webhooks(struct bench *bench)
{
    static struct run run;
    run.bench = bench;
    if (bench->options->address)
        return bench_fail(-EINVAL, "webhooks starts its own servers: --address is of no use");
    if (bench->options->connections > POSTERS_MAX)
        return bench_fail(-EINVAL, "webhooks has at most %d --under-way", POSTERS_MAX);
    run.has_push = has_two_sides(bench);
    int err = all_make(&run);
    if (err == 0)
        err = play(&run);
    if (err == 0 && run.has_push)
        err = webhooks_push(bench, run.loops[PARTY_PUSH], &run.sets[PARTY_PUSH],
                            run.servers[PARTY_PUSH]);
    for (int party = PARTIES - 1; party > PARTY_STRAIGHT; party--)
        if (run.servers[party])
            err = bench_server_end(bench, run.servers[party], err);
    all_free(&run);
    return err;
}

const struct experiment experiment_webhooks = {
    .name = "webhooks",
    .use =
        {webhooks_options, "Events posted to endpoints, some of them slow or dead: rates, latency.",
         "Starts two servers with a queue on disk and --endpoints each. Of the one all answer at "
         "once; of the other a tenth is slow, failing, flapping, dead, or answers a byte a second. "
         "Events are posted as fast as they are accepted, beside the same posts straight to the "
         "receivers; then at half of that rate, with the latency to endpoints that answer at once. "
         "At last a server pushes to subscribers while its courier, on the clients' CPUs, is at "
         "rest and at full load. "
         "Every event that was accepted must arrive, and a repeat must have the same id.\n\n"
         "  ringside-bench webhooks\n"
         "  ringside-bench webhooks --endpoints 100 --rate 1000 --turns 10"},
    .defaults = defaults,
    .run = run_webhooks,
};
