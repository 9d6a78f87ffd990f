#include "experiment/webhooks_race.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "experiment/webhooks_home.h"
#include "measure/clock.h"
#include "measure/cpus.h"

enum {
    TURNS_MAX = 2, /* of a workload: the row is to add seconds to a run, not to double it */
    POSTERS = 8,   /* at a rate; in a closed loop as many as its depth */
};

static const int64_t WARMUP_NS = 100 * NS_PER_MS; /* the courier connects */
static const int64_t DRAIN_NS = (int64_t)30 * NS_PER_S;

struct race {
    struct bench *bench;
    struct webhooks_home home;
    struct webhooks_loop *loop;
    struct webhooks_set set;
    struct server *server;
};

static const enum behaviour ALL_FAST[1] = {RECEIVER_FAST}; /* of the one channel */

static const char *why_not(const struct options *options)
{
    if (options->address)
        return "a server that runs already has no endpoints of this bench";
    if (options->socketless)
        return "their receivers have sockets";
    if (options->message_bytes > DATA_MAX)
        return "their receivers take less than --size";
    return NULL;
}

static int make(struct race *race)
{
    const struct options *options = race->bench->options;
    struct webhooks_set *set = &race->set;
    set->endpoints = 1;
    set->each = options->endpoints;
    set->behaviours = ALL_FAST;
    set->data_bytes = options->message_bytes;
    set->events = calloc(EVENTS_MAX, sizeof *set->events);
    set->arrived = calloc((size_t)EVENTS_MAX / 8, set->each); /* what is not touched is no memory */
    if (!set->events || !set->arrived)
        return bench_fail(-ENOMEM, "no memory for events of %u endpoints", set->each);
    int err = webhooks_loop_create(&race->loop, 0);
    if (err == 0)
        err = webhooks_home_make(&race->home);
    if (err < 0)
        return err;
    webhooks_loop_set(race->loop, 0, set);
    set->key = race->home.key;
    err = webhooks_home_serve(&race->home, race->bench, 0, race->loop, set->each, 1, &race->server);
    if (err == 0)
        set->server = race->server->address;
    return err;
}

/* ---- turns ---- */

static struct contestant *contestant_make(struct race *race, const char *workload)
{
    struct contestant *contestant =
        result_add(&race->bench->result, "webhooks", workload, KIND_TRANSPORT);
    contestant->connections = race->set.each;
    contestant->payload_bytes = race->bench->options->message_bytes;
    contestant->server_cpus = race->server->cpus;
    contestant->has_ledger = true;
    contestant->corrected = histogram_create();
    contestant->uncorrected = histogram_create();
    assert(contestant->corrected && contestant->uncorrected);
    return contestant;
}

static int step(struct race *race, const struct load_mode *mode, int64_t duration_ns,
                struct turn *ret)
{
    struct webhooks_set *set = &race->set;
    const struct options *options = race->bench->options;
    const struct webhooks_set before = *set;
    struct strain_mark mark;
    unsigned posters = mode->depth > 0 ? mode->depth : POSTERS;
    set->depth = mode->depth;
    ret->load.started_ns = clock_now_ns();
    ret->load.client_cpu_ns = -clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    strain_begin(&mark, &race->server->process, options->server_cpus, options->client_cpus);
    int err = webhooks_loop_post(race->loop, set, posters < POSTERS_MAX ? posters : POSTERS_MAX,
                                 mode->depth > 0 ? 0 : mode->rate_per_s, duration_ns);
    if (err == 0)
        err = webhooks_loop_drain(race->loop, set, false, DRAIN_NS);
    strain_end(&mark, &ret->strain);
    ret->load.client_cpu_ns += clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    ret->load.elapsed_ns = clock_now_ns() - ret->load.started_ns;
    ret->server_cpu_ns = strain_charged_ns(&ret->strain.cost);
    ret->start_s =
        (double)(ret->load.started_ns - race->bench->result.started_ns) / (double)NS_PER_S;
    ret->load.publishes = set->accepted - before.accepted;
    ret->load.deliveries = set->taken_fast - before.taken_fast;
    ret->load.payload_bytes = ret->load.deliveries * set->data_bytes;
    ret->load.bytes_in = set->bytes_in - before.bytes_in;
    ret->load.bytes_out = set->bytes_out - before.bytes_out;
    return err;
}

/* Each endpoint is its own to be acknowledged by, so the ledger counts deliveries to each. */
static void account(struct race *race, const struct webhooks_set *before,
                    struct contestant *contestant)
{
    const struct webhooks_set *set = &race->set;
    struct load_ledger *ledger = &contestant->ledger;
    for (uint32_t n = before->posted; n < set->posted; n++)
        ledger->corrupt += set->events[n].renamed;
    ledger->expected = (set->accepted - before->accepted) * set->each;
    ledger->lost = webhooks_set_lacking(set, before->posted);
    ledger->delivered = ledger->expected - ledger->lost;
    contestant->errors[LOAD_FAIL_TIMEOUT] += set->failed - before->failed;
    if (set->refused > before->refused || set->repeated > before->repeated)
        contestant_note(contestant, "%lu events were refused, and %lu deliveries came again",
                        (unsigned long)(set->refused - before->refused),
                        (unsigned long)(set->repeated - before->repeated));
}

static int take_turns(struct race *race, const struct workload *workload)
{
    const struct options *options = race->bench->options;
    const unsigned turns = options->turns < TURNS_MAX ? options->turns : TURNS_MAX;
    struct contestant *contestant = contestant_make(race, workload->name);
    const struct webhooks_set before = race->set;
    int err = 0;
    watch_phase(race->bench, "webhooks", contestant->name, workload->name);
    for (unsigned round = 0; err == 0 && round < turns; round++) {
        struct turn turn = {.round = round};
        struct histogram *seen =
            workload->mode.depth > 0 ? contestant->uncorrected : contestant->corrected;
        race->set.latency = seen;
        err = step(race, &workload->mode, (int64_t)options->turn_ms * NS_PER_MS, &turn);
        race->set.latency = NULL;
        if (err < 0)
            break;
        contestant_turn(contestant, &turn);
        watch_turn(race->bench, contestant->name, &turn, contestant);
    }
    account(race, &before, contestant);
    return err;
}

static int run(struct race *race, const struct workload *workloads, unsigned count)
{
    const struct options *options = race->bench->options;
    struct turn unused = {0};
    int err = make(race);
    if (err < 0 && err != -EINTR && race->server && options->server) {
        result_note(&race->bench->result,
                    "Webhooks were left out: the server of --server did not start with them.");
        (void)bench_server_end(race->bench, race->server, 0);
        race->server = NULL;
        return 0;
    }
    if (err == 0)
        err = step(race, &(struct load_mode){.depth = 1}, WARMUP_NS, &unused);
    if (err == 0 && (race->set.taken_fast == 0 || webhooks_set_lacking(&race->set, 0) > 0))
        err = bench_fail(-EIO, "webhooks do not arrive: of %u events %lu were refused",
                         race->set.posted, (unsigned long)race->set.refused);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = take_turns(race, &workloads[i]);
    if (err == 0)
        result_note(&race->bench->result,
                    "Webhooks: each delivery is a signed HTTP request of its own to one of %u "
                    "other servers, and their 200 is awaited; each event is on the disk before it "
                    "is accepted, and an event goes out behind the fsync. A server of its own, "
                    "behind the race, at most %d turns, over plain HTTP%s.",
                    race->set.each, TURNS_MAX,
                    options->rtt_ms > 0 ? ", without the relay of --rtt-ms" : "");
    return err;
}

int webhooks_race(struct bench *bench, const struct workload *workloads, unsigned count)
{
    static struct race race;
    const char *why = why_not(bench->options);
    if (bench->options->endpoints == 0)
        return 0;
    if (bench->options->endpoints > WEBHOOKS_RACE_ENDPOINTS_MAX)
        return bench_fail(-EINVAL, "compare has at most %d --endpoints",
                          WEBHOOKS_RACE_ENDPOINTS_MAX);
    if (why) {
        result_note(&bench->result, "Webhooks were left out: %s.", why);
        return 0;
    }
    race = (struct race){.bench = bench};
    int err = run(&race, workloads, count);
    err = bench_server_end(bench, race.server, err);
    webhooks_loop_free(race.loop);
    webhooks_home_remove(&race.home);
    free(race.set.events);
    free(race.set.arrived);
    return err;
}
