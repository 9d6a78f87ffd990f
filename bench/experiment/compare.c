/* compare: the four transports of the plain interface, streams of HTTP/2, and webhooks, on one
 * workload, in one table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/versus.h"
#include "experiment/webhooks_race.h"
#include "measure/clock.h"

enum {
    STREAMS = 10, /* of a connection of HTTP/2: a page that has several */
    /* The classic workload of short polling: news is rare, and all ask again and again. */
    QUIET_POLLS_PER_MESSAGE = 50,
};
static const char QUIET[] = "quiet";

static const enum option_id compare_options[] = {
    OPTION_SUBSCRIBERS,  OPTION_SIZE,         OPTION_RATE,           OPTION_DEPTH,
    OPTION_TRANSPORT,    OPTION_STREAMS_EACH, OPTION_POLL_INTERVAL,  OPTION_AGAINST,
    OPTION_TURNS,        OPTION_TURN_MS,      OPTION_WARMUP,         OPTION_RTT,
    OPTION_JITTER,       OPTION_TLS,          OPTION_TLS_VERSION,    OPTION_TLS_CIPHER,
    OPTION_PEER,         OPTION_PEER_URL,     OPTION_PEER_SUBSCRIBE, OPTION_PEER_PUBLISH_URL,
    OPTION_PEER_PUBLISH, OPTION_ENDPOINTS,    OPTIONS_OF_CLIENTS,    OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const struct protocol *const all[] = {&protocol_poll,   &protocol_longpoll,
                                                 &protocol_sse,    &protocol_websocket,
                                                 &protocol_h2_sse, &protocol_h2_websocket};
    memcpy(options->transports, all, sizeof all);
    options->transport_count = sizeof all / sizeof all[0];
    options->subscribers = 10000;
    options->streams_each = STREAMS;
    options->turns = 5;
    options->rates[0] = 2;
    options->rate_count = 1;
    options->depths[0] = 1;
    options->depth_count = 1;
    options->depths_given = true; /* both loops are part of the comparison */
    options->against[BARE_SEND] = true;
    options->endpoints = WEBHOOKS_RACE_ENDPOINTS;
}

/* Who names transports means these, but for webhooks that are asked for. */
static void settle(struct options *options)
{
    versus_settle(options);
    if (options_given(options, OPTION_TRANSPORT) && !options_given(options, OPTION_ENDPOINTS))
        options->endpoints = 0;
}

/* ---- running ---- */

static int add_ceiling(struct field *field, struct bench *bench, const char **ret_name)
{
    const struct options *options = bench->options;
    enum bare_loop loop = options->against[BARE_SEND] ? BARE_SEND : BARE_URING;
    struct server *server;
    *ret_name = NULL;
    if (!options->against[BARE_SEND] && !options->against[BARE_URING])
        return 0;
    if (!bench_bare_fits(loop, options->subscribers)) {
        result_note(&bench->result,
                    "%s needs a file descriptor for each of %u connections, more than "
                    "RLIMIT_NOFILE allows: bare-uring is the ceiling here.",
                    bare_loop_name(loop), options->subscribers);
        loop = BARE_URING;
    }
    int err = bench_bare_start(bench, loop, options->subscribers, &server);
    if (err < 0)
        return err;
    *ret_name = bare_loop_name(loop);
    field_add(field, *ret_name, KIND_CEILING, &protocol_websocket, server, options->subscribers);
    return 0;
}

/* How many polls are empty is a matter of the workload, and the quiet one is the one that is meant.
 */
static void forget_other_requests(struct result *result)
{
    for (unsigned i = 0; i < result->contestant_count; i++) {
        struct contestant *contestant = result->contestants[i];
        if (strcmp(contestant->name, "poll") == 0 && strcmp(contestant->workload, QUIET) != 0)
            contestant->has_requests = false;
    }
}

/* Short polling when there is news once in fifty polls: what the other forty-nine cost. */
static int quiet_polling(struct field *field)
{
    const struct options *options = field->bench->options;
    const int64_t duration_ns =
        (int64_t)QUIET_POLLS_PER_MESSAGE * options->poll_interval_ms * NS_PER_MS;
    const int64_t interval_ns = (int64_t)options->poll_interval_ms * NS_PER_MS;
    /* A little slower than once in the turn, so that the second message falls behind its end. */
    const struct load_mode mode = {.rate_per_s =
                                       (double)NS_PER_S / (double)(duration_ns + interval_ns)};
    for (unsigned i = 0; i < field->count; i++) {
        if (!(field->entrants[i].transport->is & PROTOCOL_BY_CLOCK))
            continue;
        watch_phase(field->bench, "quiet", field->entrants[i].name, "one message per 50 polls");
        struct contestant *contestant = field_contestant(field, i, QUIET);
        contestant_note(contestant,
                        "one message in %.1f s, in which each client asks %d times: the classic "
                        "workload of short polling",
                        (double)duration_ns / NS_PER_S, QUIET_POLLS_PER_MESSAGE);
        int err = field_turn(field, i, &mode, duration_ns, 0, contestant);
        if (err < 0)
            return err;
        forget_other_requests(&field->bench->result);
    }
    return 0;
}

static int race(struct field *field, const char *ceiling)
{
    struct workload found[FIELD_WORKLOADS_MAX], workloads[FIELD_WORKLOADS_MAX];
    const struct options *options = field->bench->options;
    unsigned count = field_workloads(options, found);
    unsigned depths = options->depth_count < count ? options->depth_count : count;
    /* The rates first: the first workload is the one that the report begins with. */
    for (unsigned i = 0; i < count; i++)
        workloads[i] = found[(i + depths) % count];
    int err = field_open(field);
    if (err == 0)
        err = field_rounds(field, workloads, count, ceiling);
    if (err == 0)
        err = quiet_polling(field);
    field_close(field);
    if (err == 0)
        err = webhooks_race(field->bench, workloads, count);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    if (versus_wanted(options)) {
        result_note(&bench->result, "Webhooks were left out: peers have none, or others.");
        return versus_run(bench);
    }
    struct field field;
    const char *ceiling;
    field_init(&field, bench);
    int err = field_serve_ways(&field, options->subscribers);
    if (err < 0)
        return err;
    err = add_ceiling(&field, bench, &ceiling);
    if (err == 0)
        err = race(&field, ceiling);
    return err;
}

const struct experiment experiment_compare = {
    .name = "compare",
    .use = {compare_options,
            "Short polling, long polling, SSE and WebSocket on one workload, in one table.",
            "The last two also over HTTP/2, ten streams on a connection (--streams). Latency is "
            "measured at a modest rate (--rate), deliveries per second in a closed loop "
            "(--depth), polling waste with one message per 50 polls. Behind them webhooks to "
            "--endpoints, unless --transport names others. With the default of 10,000 "
            "subscribers for each transport it takes about two minutes.\n\n"
            "  ringside-bench compare\n"
            "  ringside-bench compare --subscribers 2000 --poll-interval-ms 1000\n"
            "  ringside-bench compare --transport sse,websocket --rate 10\n"
            "  ringside-bench compare --tls --transport longpoll,sse,websocket\n\n"
            "With --peer it is other servers that are compared, on WebSocket: 9,000 subscribers of "
            "each, in closed loops of depth 1 and 8. bench/peers/README.md says what there is.\n\n"
            "  ringside-bench compare --peer nchan --peer ws\n"
            "  ringside-bench compare --peer-url ws://127.0.0.1:9000/sub --peer-publish-url "
            "http://127.0.0.1:9000/pub"},
    .defaults = defaults,
    .settle = settle,
    .run = run,
};
