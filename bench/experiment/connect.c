/* connect: how fast subscribers can be let in: TCP alone, and with each transport's handshake and
 * subscription on top. A turn opens a share of the connections; all that are open stay. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"

static const double RAMP_RATIO_MIN = 0.7;
static const int64_t CALM_NS = (int64_t)100 * NS_PER_MS; /* the other side finishes its part */
static const int64_t TURN_TIMEOUT_NS = (int64_t)120 * NS_PER_S;

static const enum option_id connect_options[] = {
    OPTION_CONNECTIONS, OPTION_TRANSPORT,  OPTION_STREAMS_EACH, OPTION_TURNS,
    OPTION_TLS,         OPTION_TLS_CIPHER, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->connections = 15000;
    options->turns = 7;
    options->transports[0] = &protocol_websocket;
    options->transports[1] = &protocol_sse;
    options->transports[2] = &protocol_longpoll;
    options->transport_count = 3;
}

/* One turn for one entrant. Returns 0 and its rate in connections per second, or negative errno. */
static int turn(struct field *field, unsigned index, uint32_t count, struct contestant *into,
                double *ret_rate)
{
    const struct load_ramp_config config = {.count = count, .timeout_ns = TURN_TIMEOUT_NS};
    struct load_ramp_result ramp;
    int err = load_ramp(field->load, index, &config, &ramp);
    if (err == 0 && ramp.failed > 0)
        err = bench_fail(-ECONNREFUSED, "%s: %u of %u clients did not connect", into->name,
                         ramp.failed, count);
    if (err < 0)
        return err;
    into->connections += ramp.opened;
    into->connect.opened += ramp.opened;
    into->connect.elapsed_ns += ramp.elapsed_ns;
    into->connect.rate_per_s =
        (double)into->connect.opened * NS_PER_S / (double)into->connect.elapsed_ns;
    *ret_rate = ramp.rate_per_s;
    return load_idle(field->load, CALM_NS, LOAD_ALL);
}

/* The rates of one round, by entrant; the first is the bare one. */
struct round {
    double rates[FIELD_ENTRANTS_MAX];
};

static int one_round(struct field *field, unsigned number, struct contestant **contestants,
                     struct round *ret)
{
    uint32_t share = field->bench->options->connections / (field->bench->options->turns + 1);
    int err = 0;
    for (unsigned i = 0; err == 0 && i < field->count; i++) {
        char detail[RESULT_NAME_MAX];
        snprintf(detail, sizeof detail, "round %u", number);
        watch_phase(field->bench, "ramp", field->entrants[i].name, detail);
        err = turn(field, i, share, contestants[i], &ret->rates[i]);
    }
    return err;
}

static void judge(struct bench *bench, const struct contestant *contestant, unsigned index,
                  const struct round *rounds, unsigned count)
{
    assert(count > 0);
    double *quotients = calloc(count, sizeof *quotients);
    char claim[128];
    assert(quotients);
    for (unsigned i = 0; i < count; i++)
        quotients[i] = rounds[i].rates[0] > 0 ? rounds[i].rates[index] / rounds[i].rates[0] : 0;
    struct spread ratio = spread_of(quotients, count);
    free(quotients);
    snprintf(claim, sizeof claim, "%s subscribers are let in at 0.7 of the bare connect rate",
             contestant->name);
    result_verdict(&bench->result, claim, ratio.median >= RAMP_RATIO_MIN ? "holds" : "fails",
                   "%.2f (%.2f to %.2f), median and middle half of %u rounds", ratio.median,
                   ratio.p25, ratio.p75, count);
}

/* One round more than are counted: the first is for warming up. */
static int race(struct field *field)
{
    unsigned turns = field->bench->options->turns;
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
    struct round *rounds = calloc(turns + 1, sizeof *rounds);
    int err = rounds ? 0 : -ENOMEM;
    for (unsigned i = 0; i < field->count; i++) {
        contestants[i] = field_contestant(field, i, "");
        contestants[i]->has_connect = true;
    }
    for (unsigned i = 0; err == 0 && i <= turns; i++)
        err = one_round(field, i, contestants, &rounds[i]);
    for (unsigned i = 1; err == 0 && i < field->count; i++)
        if (!field->entrants[i].tls) /* whose handshake is another experiment's matter */
            judge(field->bench, contestants[i], i, rounds + 1, turns);
    free(rounds);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    struct server *bare = NULL;
    field_init(&field, bench);
    if (options->connections < options->turns + 1)
        return bench_fail(-EINVAL, "%u connections cannot be opened in %u turns",
                          options->connections, options->turns);
    int err = bench_bare_start(bench, BARE_URING, options->connections, &bare);
    if (err < 0)
        return err;
    field_add(&field, "bare-connect", KIND_CEILING, &protocol_connect, bare, options->connections);
    err = field_serve_ways(&field, options->connections);
    if (err == 0)
        err = field_create(&field);
    if (err == 0)
        err = race(&field);
    field_close(&field);
    return err;
}

const struct experiment experiment_connect = {
    .name = "connect",
    .use = {connect_options, "How fast subscribers are let in, beside TCP connections alone.",
            "Each turn opens a share of the connections, first without a handshake against a bare "
            "accept loop, then with each transport; ratios are taken within a round.\n\n"
            "  ringside-bench connect\n"
            "  ringside-bench connect --connections 100000 --transport websocket"},
    .defaults = defaults,
    .run = run,
};
