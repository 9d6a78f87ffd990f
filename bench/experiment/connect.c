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
#include "output/figure.h"

static const int64_t CALM_NS = (int64_t)100 * NS_PER_MS; /* the other side finishes its part */
static const int64_t TURN_TIMEOUT_NS = (int64_t)120 * NS_PER_S;

static const enum option_id connect_options[] = {
    OPTION_CONNECTIONS, OPTION_TRANSPORT,  OPTION_STREAMS_EACH, OPTION_TURNS, OPTION_TLS,
    OPTION_TLS_VERSION, OPTION_TLS_CIPHER, OPTIONS_OF_CLIENTS,  OPTION_COUNT,
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

/* Of a contestant, by round. */
struct rounds {
    json_t *rates;
    json_t *cpu_ns; /* of the server, for each that connected */
};

static int64_t server_cpu_ns(const struct field *field, unsigned index)
{
    const struct server *server = field->entrants[index].server;
    return server ? process_cpu_ns(&server->process) : 0;
}

/* One turn for one entrant; what it took goes to `rounds` if it counts. */
static int turn(struct field *field, unsigned index, uint32_t count, struct contestant *into,
                const struct rounds *rounds)
{
    const struct load_ramp_config config = {.count = count, .timeout_ns = TURN_TIMEOUT_NS};
    struct load_ramp_result ramp;
    int64_t cpu_ns = server_cpu_ns(field, index);
    int err = load_ramp(field->load, index, &config, &ramp);
    cpu_ns = server_cpu_ns(field, index) - cpu_ns;
    if (err == 0 && ramp.failed > 0)
        err = bench_fail(-ECONNREFUSED, "%s: %u of %u clients did not connect", into->name,
                         ramp.failed, count);
    if (err < 0)
        return err;
    into->connections += ramp.opened;
    into->connect.opened += ramp.opened;
    into->connect.elapsed_ns += ramp.elapsed_ns;
    if (rounds) {
        json_array_append_new(rounds->rates, figure_number(ramp.rate_per_s, 0.1));
        json_array_append_new(rounds->cpu_ns, figure_number((double)cpu_ns / ramp.opened, 1));
    }
    return load_idle(field->load, CALM_NS, LOAD_ALL);
}

/* One round more than are counted: the first is for warming up. */
static int race(struct field *field)
{
    const struct options *options = field->bench->options;
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
    struct rounds rounds[FIELD_ENTRANTS_MAX];
    int err = 0;
    for (unsigned i = 0; i < field->count; i++) {
        contestants[i] = field_contestant(field, i, "");
        contestants[i]->has_connect = true;
        rounds[i] = (struct rounds){json_array(), json_array()};
        contestant_figure(contestants[i], "connects_per_s", rounds[i].rates);
        contestant_figure(contestants[i], "server_cpu_ns_per_connect", rounds[i].cpu_ns);
    }
    for (unsigned round = 0; err == 0 && round <= options->turns; round++)
        for (unsigned i = 0; err == 0 && i < field->count; i++) {
            char detail[RESULT_NAME_MAX];
            snprintf(detail, sizeof detail, "round %u", round);
            watch_phase(field->bench, "ramp", field->entrants[i].name, detail);
            err = turn(field, i, options->connections / (options->turns + 1), contestants[i],
                       round > 0 ? &rounds[i] : NULL);
        }
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
