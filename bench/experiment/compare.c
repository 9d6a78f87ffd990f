/* compare: the four transports of the plain interface on one workload, in one table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/tls_verdict.h"
#include "experiment/versus.h"
#include "measure/clock.h"
#include "output/number.h"

/* The classic workload of short polling: news is rare, and all ask again and again. */
enum {
    QUIET_POLLS_PER_MESSAGE = 50,
};
static const char QUIET[] = "quiet";

static const enum option_id compare_options[] = {
    OPTION_SUBSCRIBERS,
    OPTION_SIZE,
    OPTION_RATE,
    OPTION_DEPTH,
    OPTION_TRANSPORT,
    OPTION_STREAMS_EACH,
    OPTION_POLL_INTERVAL,
    OPTION_AGAINST,
    OPTION_TURNS,
    OPTION_TURN_MS,
    OPTION_WARMUP,
    OPTION_RTT,
    OPTION_JITTER,
    OPTION_TLS,
    OPTION_TLS_CIPHER,
    OPTION_PEER,
    OPTION_PEER_URL,
    OPTION_PEER_SUBSCRIBE,
    OPTION_PEER_PUBLISH_URL,
    OPTION_PEER_PUBLISH,
    OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const struct protocol *const all[] = {&protocol_poll, &protocol_longpoll, &protocol_sse,
                                                 &protocol_websocket};
    memcpy(options->transports, all, sizeof all);
    options->transport_count = sizeof all / sizeof all[0];
    options->subscribers = 10000;
    options->turns = 5;
    options->rates[0] = 2;
    options->rate_count = 1;
    options->depths[0] = 1;
    options->depth_count = 1;
    options->depths_given = true; /* both loops are part of the comparison */
    options->against[BARE_SEND] = true;
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
    return err;
}

/* ---- what it says of the claims ---- */

static void rate_workload(const struct options *options, char name[RESULT_NAME_MAX])
{
    snprintf(name, RESULT_NAME_MAX, "rate %g/s", options->rates[0]);
}

static double share_empty(const struct contestant *contestant)
{
    return contestant->requests_answered > 0
               ? (double)contestant->requests_empty / (double)contestant->requests_answered
               : 0;
}

static void judge_polling(struct bench *bench)
{
    char workload[RESULT_NAME_MAX], text[NUMBER_TEXT_MAX];
    const struct options *options = bench->options;
    const struct contestant *quiet = result_find(&bench->result, "poll", QUIET);
    rate_workload(options, workload);
    const struct contestant *poll = result_find(&bench->result, "poll", workload);
    if (quiet && quiet->requests_answered > 0)
        result_verdict(&bench->result, "98 % of short polls bring nothing",
                       share_empty(quiet) > 0.97 ? "derived" : "depends",
                       "%.1f %% of %s answers were empty; news once in %d polls is what the run "
                       "publishes",
                       100 * share_empty(quiet), number_grouped(text, quiet->requests_answered),
                       QUIET_POLLS_PER_MESSAGE);
    if (poll && histogram_count(poll->corrected) > 0) {
        double p50_ms = (double)histogram_percentile(poll->corrected, 50) / NS_PER_MS;
        double half_ms = options->poll_interval_ms / 2.0;
        result_verdict(&bench->result, "Polling is late by half the interval",
                       p50_ms > 0.8 * half_ms && p50_ms < 1.2 * half_ms ? "holds" : "depends",
                       "median %.0f ms at an interval of %u ms", p50_ms, options->poll_interval_ms);
    }
}

static void judge_bytes(struct bench *bench)
{
    char workload[RESULT_NAME_MAX];
    rate_workload(bench->options, workload);
    const struct contestant *longpoll = result_find(&bench->result, "longpoll", workload);
    const struct contestant *websocket = result_find(&bench->result, "websocket", workload);
    if (longpoll && longpoll->turn_count > 0) {
        struct load_turn sum = contestant_totals(longpoll);
        double down = (double)sum.bytes_in / (double)(sum.deliveries ? sum.deliveries : 1);
        double up = (double)sum.bytes_out / (double)(sum.deliveries ? sum.deliveries : 1);
        double extra = down - longpoll->payload_bytes;
        result_verdict(
            &bench->result, "An HTTP answer costs about 800 bytes around the payload",
            extra > 600 && extra < 1000 ? "holds" : "depends",
            "%.0f bytes around the payload of a long poll's answer, and %.0f of request; "
            "browsers and proxies add theirs",
            extra, up);
    }
    if (websocket && websocket->turn_count > 0) {
        struct load_turn sum = contestant_totals(websocket);
        double extra = (double)sum.bytes_in / (double)(sum.deliveries ? sum.deliveries : 1) -
                       websocket->payload_bytes;
        result_verdict(&bench->result, "A WebSocket frame costs 2 to 14 bytes",
                       extra >= 1.99 && extra <= 14 ? "holds" : "fails",
                       "%.1f bytes around a payload of %u", extra, websocket->payload_bytes);
    }
}

/* One figure for each transport, for the index of runs. */
static void make_headline(struct bench *bench)
{
    char text[256] = "Server CPU per delivery:", workload[RESULT_NAME_MAX];
    char time[NUMBER_TEXT_MAX];
    size_t len = strlen(text);
    rate_workload(bench->options, workload);
    for (unsigned i = 0; i < bench->options->transport_count && len < sizeof text; i++) {
        const char *name = bench->options->transports[i]->name;
        const struct contestant *quiet = result_find(&bench->result, name, QUIET);
        const struct contestant *contestant =
            quiet ? quiet : result_find(&bench->result, name, workload);
        if (contestant && contestant->server_cpus > 0)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s %s %s", i ? "," : "", name,
                                    number_time(time, contestant_server_cpu_ns(contestant).median));
    }
    bench->result.headline = strdup(text);
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    if (versus_wanted(options))
        return versus_run(bench);
    struct field field;
    const char *ceiling;
    field_init(&field, bench);
    int err = field_serve_ways(&field, options->subscribers);
    if (err < 0)
        return err;
    err = add_ceiling(&field, bench, &ceiling);
    if (err == 0)
        err = race(&field, ceiling);
    if (err == 0) {
        make_headline(bench);
        judge_polling(bench);
        judge_bytes(bench);
    }
    return err;
}

const struct experiment experiment_compare = {
    .name = "compare",
    .use = {compare_options,
            "Short polling, long polling, SSE and WebSocket on one workload, in one table.",
            "Latency is measured at a modest rate (--rate), deliveries per second in a closed loop "
            "(--depth), polling waste with one message per 50 polls. With the default of 10,000 "
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
    .settle = versus_settle,
    .run = run,
};
