/* latency: from an event to a client, for each transport and round-trip time, beside the budget
 * that is usually quoted for it.
 *
 *     publisher ───────────────► server ◄── relay, rtt/2 each way ──► subscribers
 *     both ways: publisher ── relay ──► server ──── the same relay ──► subscribers
 *
 * All are connected at once and get the clock in turns. The publisher is beside the server, so that
 * the time is that of the way to the client; for "both ways" a message crosses twice, as an echo
 * would. With --tls there is a relay for each of the server's ports. A message over TLS crosses as
 * often as one without; what TLS costs in round trips is seen while connecting. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "measure/clock.h"

enum {
    RTTS_MAX = 4,
};

/* The field, and what belongs to an entrant of that index. */
struct race {
    struct field field;
    uint32_t rtts_ms[FIELD_ENTRANTS_MAX];
    bool both_ways[FIELD_ENTRANTS_MAX];
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
};

/* The relays for one round-trip time; without it, where they would lead. */
struct reach {
    struct sockaddr_in plain, tls;
};

static const enum option_id latency_options[] = {
    OPTION_RTTS,        OPTION_JITTER,        OPTION_SUBSCRIBERS,
    OPTION_SIZE,        OPTION_TRANSPORT,     OPTION_STREAMS_EACH,
    OPTION_RATE,        OPTION_TURNS,         OPTION_TURN_MS,
    OPTION_WARMUP,      OPTION_POLL_INTERVAL, OPTION_TLS,
    OPTION_TLS_VERSION, OPTION_TLS_CIPHER,    OPTION_TLS_RESUME_RAMP,
    OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const struct protocol *const all[] = {&protocol_poll, &protocol_longpoll, &protocol_sse,
                                                 &protocol_websocket};
    static const uint32_t rtts[] = {0, 10, 150};
    memcpy(options->transports, all, sizeof all);
    options->transport_count = sizeof all / sizeof all[0];
    memcpy(options->rtts, rtts, sizeof rtts);
    options->rtt_count = sizeof rtts / sizeof rtts[0];
    options->subscribers = 20;
    options->rates[0] = 4;
    options->rate_count = 1;
    options->turns = 3;
    options->turn_ms = 1000;
    options->warmup_turns = 0;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

/* What is usually quoted: half the interval and a round trip for polling; a round trip where each
 * message is an answer or an event stream; half of it one way over a WebSocket. */
static double budget_ms(const struct race *race, unsigned index)
{
    const struct protocol *transport = race->field.entrants[index].transport;
    const uint32_t rtt_ms = race->rtts_ms[index];
    if (transport->is & PROTOCOL_BY_CLOCK)
        return race->field.bench->options->poll_interval_ms / 2.0 + rtt_ms;
    const bool one_way = transport->is & (PROTOCOL_SENDS | PROTOCOL_RTC) && !race->both_ways[index];
    return one_way ? rtt_ms / 2.0 : rtt_ms;
}

/* ---- the field ---- */

/* How many contestants there are for each round-trip time: WebSockets are there twice. */
static uint32_t each_of(const struct options *options)
{
    struct way ways[WAYS_MAX];
    const unsigned count = ways_of(options, ways);
    uint32_t each = count;
    for (unsigned i = 0; i < count; i++)
        each += (ways[i].transport->is & PROTOCOL_SENDS) != 0;
    return each;
}

/* The text is constant. */
static const char *both_ways_name(const struct way *way)
{
    static char names[TLS_CIPHER_COUNT + 1][RESULT_NAME_MAX];
    char *name = names[way->tls ? 1 + (int)way->cipher : 0];
    snprintf(name, RESULT_NAME_MAX, "%s both ways", way_name(way));
    return name;
}

static int add(struct race *race, struct server *server, const struct reach *reach,
               const struct way *way, uint32_t rtt_ms, bool both_ways)
{
    struct field *field = &race->field;
    const unsigned index = field->count;
    int err = field_add_way(field, way, server, field->bench->options->subscribers);
    struct entrant *entrant = &field->entrants[index];
    if (!(way->transport->is & PROTOCOL_QUIC)) /* which has its network by itself */
        entrant->reach = way->tls ? reach->tls : reach->plain;
    entrant->rtt_ms = rtt_ms;
    if (both_ways) {
        entrant->name = both_ways_name(way);
        entrant->publish_at = entrant->reach;
    }
    snprintf(entrant->channel, sizeof entrant->channel, "latency-%u", index + 1);
    race->rtts_ms[index] = rtt_ms;
    race->both_ways[index] = both_ways;
    return err;
}

/* Those without TLS come first, so that those with it find whom to be compared with. */
static int add_transport(struct race *race, struct server *server, const struct reach *reach,
                         const struct way *ways, unsigned count, uint32_t rtt_ms)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = add(race, server, reach, &ways[i], rtt_ms, false);
    for (unsigned i = 0; err == 0 && i < count && ways[i].transport->is & PROTOCOL_SENDS; i++)
        err = add(race, server, reach, &ways[i], rtt_ms, true);
    return err;
}

static int reach_by(struct bench *bench, const struct server *server, uint32_t rtt_ms,
                    struct reach *ret)
{
    const struct options *options = bench->options;
    const uint32_t connections = (options->subscribers + 2) * each_of(options);
    *ret = (struct reach){server->address, server->tls_address};
    if (rtt_ms == 0)
        return 0;
    int err = bench_path_start(bench, server, false, rtt_ms, connections, &ret->plain);
    if (err < 0 || !options->tls)
        return err;
    return bench_path_start(bench, server, true, rtt_ms, connections, &ret->tls);
}

static int add_rtt(struct race *race, struct server *server, uint32_t rtt_ms)
{
    struct way ways[WAYS_MAX];
    struct reach reach;
    const struct options *options = race->field.bench->options;
    const unsigned count = ways_of(options, ways);
    int err = reach_by(race->field.bench, server, rtt_ms, &reach);
    for (unsigned i = 0, each = 0; err == 0 && i < count; i += each) {
        for (each = 1; i + each < count && ways[i + each].transport == ways[i].transport; each++)
            ;
        err = add_transport(race, server, &reach, ways + i, each, rtt_ms);
    }
    return err;
}

/* ---- running ---- */

static int turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct race *race = context;
    const struct load_mode mode = {.rate_per_s = race->field.bench->options->rates[0]};
    return field_one_turn(&race->field, at, &mode, race->contestants[at], round, counted);
}

static int play(struct race *race)
{
    struct field *field = &race->field;
    int err = field_open(field);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < field->count; i++) {
        char workload[RESULT_NAME_MAX];
        snprintf(workload, sizeof workload, "RTT %u ms", race->rtts_ms[i]);
        struct contestant *contestant = field_contestant(field, i, workload);
        race->contestants[i] = contestant;
        contestant_figure(contestant, "quoted_latency_ns",
                          json_integer((json_int_t)(budget_ms(race, i) * NS_PER_MS)));
        contestant->has_connect = true;
        contestant->connect = field->entrants[i].ramp;
    }
    const struct options *options = field->bench->options;
    watch_turns(field->bench, field->count * (options->warmup_turns + options->turns));
    err = field_take_turns(field, field->count, turn, race);
    for (unsigned i = 0; i < field->count; i++)
        field_failures(field, i, race->contestants[i]);
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct race race = {0};
    struct server *server;
    if (options->rtt_count == 0 || options->rtt_count > RTTS_MAX || options->rate_count != 1)
        return bench_fail(-EINVAL, "latency takes one --rate and 1 to %d round-trip times",
                          RTTS_MAX);
    const uint32_t groups = options->rtt_count * each_of(options);
    if (groups > FIELD_ENTRANTS_MAX)
        return bench_fail(-ENOSPC,
                          "%u contestants are too many for one run: name fewer with "
                          "--transport, --tls-cipher or --rtt-ms",
                          groups);
    field_init(&race.field, bench);
    race.field.memory_unread = true;
    int err = bench_server_start(bench, options->subscribers * groups, NULL, &server);
    for (unsigned i = 0; err == 0 && i < options->rtt_count; i++)
        err = add_rtt(&race, server, options->rtts[i]);
    if (err == 0)
        err = play(&race);
    field_close(&race.field);
    return err;
}

const struct experiment experiment_latency = {
    .name = "latency",
    .use = {latency_options, "Latency of each transport at several round-trip times.",
            "From the intended time of a message, published beside the server, to its receipt by a "
            "subscriber behind a relay that delays each direction by half the round-trip time; "
            "\"both ways\" is published behind it too. The relay's own lateness is in the notes. "
            "\"all connected\" is the time from the first connect until all were subscribed: the "
            "round trips of TCP, of the request, and with --tls two more.\n\n"
            "  ringside-bench latency\n"
            "  ringside-bench latency --tls --rtt-ms 10,150\n"
            "  ringside-bench latency --rtt-ms 40 --jitter-ms 10 --transport sse,websocket"},
    .defaults = defaults,
    .run = run,
};
