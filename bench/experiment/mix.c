/* mix: workloads of one's own: streams that differ in transport, count, channels, sizes and rates,
 * all connected at once and given the clock in turns.
 *
 *     create ─► for each stream: (publish what is there already) ─► ramp ─► who has the state?
 *            ─► settle all ─► rounds of turns, each stream at its own rate
 *
 * A stream with state=yes is published to before anybody connects: those who connect must then get
 * the last message of their channel without a new one. With --tls each stream is there once more
 * for each cipher. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/cache.h"
#include "experiment/field.h"
#include "experiment/stream.h"
#include "measure/clock.h"

static const int64_t STATE_NS = (int64_t)100 * NS_PER_MS; /* between two looks */
enum {
    STATE_LOOKS = 50,
};

/* The lists behind `streams` are of an entrant of that index. */
struct mix {
    struct bench *bench;
    struct field field;
    struct stream streams[OPTIONS_STREAMS_MAX];
    char names[FIELD_ENTRANTS_MAX][RESULT_NAME_MAX]; /* over TLS */
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
    uint32_t informed[FIELD_ENTRANTS_MAX]; /* who had the state after connecting */
    struct arrivals arrivals[FIELD_ENTRANTS_MAX];
    struct cache cache; /* of those with cache=yes; not started: there are none */
};

static_assert(OPTIONS_STREAMS_MAX * WAYS_ANY_MAX <= FIELD_ENTRANTS_MAX,
              "each stream is an entrant in each way");

static const enum option_id mix_options[] = {
    OPTION_STREAM,        OPTION_STREAMS_EACH, OPTION_TURNS,  OPTION_TURN_MS, OPTION_WARMUP,
    OPTION_POLL_INTERVAL, OPTION_RTT,          OPTION_JITTER, OPTION_TLS,     OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER,    OPTIONS_OF_CLIENTS,  OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->turns = 3;
    options->turn_ms = 5000;
    options->warmup_turns = 1;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

static int read_streams(struct mix *mix)
{
    const struct options *options = mix->bench->options;
    char why[BENCH_WHY_MAX];
    if (options->stream_count == 0)
        return bench_fail(-EINVAL, "which streams? `bench mix --help` shows how one is written");
    for (unsigned i = 0; i < options->stream_count; i++) {
        if (stream_parse(&mix->streams[i], options->streams[i], why, sizeof why) < 0)
            return bench_fail(-EINVAL, "--stream: %s", why);
        for (unsigned k = 0; k < i; k++)
            if (strcmp(mix->streams[k].name, mix->streams[i].name) == 0)
                return bench_fail(-EINVAL, "--stream: two are called %s", mix->streams[i].name);
    }
    return 0;
}

/* The name of an entrant is also that of its channel. */
static int add(struct mix *mix, const struct stream *stream, struct way way, struct server *server)
{
    const unsigned index = mix->field.count;
    way.transport = stream->transport;
    int err = field_add_way(&mix->field, &way, server, stream->subscribers);
    struct entrant *entrant = &mix->field.entrants[index];
    entrant->name = stream->name;
    if (way.tls) {
        char name[RESULT_NAME_MAX];
        snprintf(name, sizeof name, "%.30s-tls-%s", stream->name, options_cipher_name(way.cipher));
        entrant->name = memcpy(mix->names[index], name, sizeof name);
    }
    snprintf(entrant->channel, sizeof entrant->channel, "bench-%.40s", entrant->name);
    entrant->stream = stream;
    if (stream->cache)
        entrant->reach = mix->cache.server->address;
    if (stream->channels > 1)
        entrant->publish = &protocol_post;
    return err;
}

/* One for all streams that want it. */
static int start_cache(struct mix *mix, const struct server *server)
{
    uint64_t clients = 0;
    bool wanted = false;
    for (unsigned i = 0; i < mix->bench->options->stream_count; i++) {
        wanted |= mix->streams[i].cache;
        clients += mix->streams[i].cache ? mix->streams[i].subscribers : 0;
    }
    if (!wanted)
        return 0;
    if (mix->bench->options->tls || mix->bench->options->rtt_ms > 0 || mix->bench->phantom)
        return bench_fail(-EINVAL, "cache=yes goes neither with --tls nor with --rtt-ms nor with "
                                   "clients without sockets");
    return cache_start(mix->bench, &mix->cache, server, 2 * (uint32_t)clients);
}

static int start(struct mix *mix)
{
    const unsigned count = mix->bench->options->stream_count;
    struct way ways[WAYS_ANY_MAX];
    const unsigned way_count = ways_of_any(mix->bench->options, ways);
    struct server *server;
    uint64_t clients = 0;
    for (unsigned i = 0; i < count; i++)
        clients += (uint64_t)mix->streams[i].subscribers * way_count;
    if (clients > OPTIONS_CLIENTS_MAX)
        return bench_fail(-E2BIG, "at most %d subscribers in one run", OPTIONS_CLIENTS_MAX);
    int err = bench_server_start(mix->bench, (uint32_t)clients, NULL, &server);
    if (err == 0)
        err = start_cache(mix, server);
    for (unsigned i = 0; err == 0 && i < count; i++)
        for (unsigned w = 0; err == 0 && w < way_count; w++)
            if (!ways[w].tls || !(mix->streams[i].transport->is & PROTOCOL_QUIC))
                err = add(mix, &mix->streams[i], ways[w], server);
    return err;
}

/* ---- the state on connecting ---- */

/* One message to each channel, with nobody there. */
static int publish_state(struct mix *mix, unsigned index)
{
    const uint32_t channels = mix->field.entrants[index].stream->channels;
    const struct load_mode each = {.depth = LOAD_FLIGHTS / 2, .messages = channels};
    const struct load_mode none = {0};
    struct load *load = mix->field.load;
    int err = load_publish(load, index, &each);
    for (int look = 0;
         err == 0 && look < STATE_LOOKS && load_counters(load, index)->published < channels; look++)
        err = load_idle(load, STATE_NS, LOAD_ALL);
    if (err == 0)
        err = load_idle(load, STATE_NS, LOAD_ALL);
    return err == 0 ? load_publish(load, index, &none) : err;
}

/* What those who have connected got without anything new being published. */
static int await_state(struct mix *mix, unsigned index)
{
    struct load *load = mix->field.load;
    int err = 0;
    for (int look = 0; err == 0 && look < STATE_LOOKS; look++) {
        mix->informed[index] = load_informed(load, index);
        if (mix->informed[index] == load_up(load, index))
            break;
        err = load_idle(load, STATE_NS, LOAD_ALL);
    }
    return err;
}

static int open_all(struct mix *mix)
{
    struct field *field = &mix->field;
    int err = field_create(field);
    for (unsigned i = 0; err == 0 && i < field->count; i++) {
        bool state = field->entrants[i].stream->state;
        err = state ? publish_state(mix, i) : 0;
        if (err == 0)
            err = field_ramp(field, i);
        if (err == 0 && state)
            err = await_state(mix, i);
    }
    for (unsigned i = 0; err == 0 && i < field->count; i++)
        err = field_settle(field, i);
    return err;
}

/* ---- turns ---- */

static void describe(const struct stream *stream, struct contestant *contestant)
{
    char sizes[128] = "";
    size_t len = 0;
    for (unsigned i = 0; i < stream->kind_count && len < sizeof sizes; i++)
        len += (size_t)snprintf(sizes + len, sizeof sizes - len, "%s%u x %u bytes", i ? ", " : "",
                                stream->kinds[i].parts, stream->kinds[i].bytes);
    if (stream->kind_count == 0)
        snprintf(sizes, sizeof sizes, "%u bytes", stream->bytes);
    contestant_note(contestant, "%s: %s, %u subscribers on %u channels, %g messages/s of %s",
                    contestant->name, stream->transport->name, stream->subscribers,
                    stream->channels, stream->rate_per_s, sizes);
}

/* Where some polls go through a cache, it is asked of all polls. */
static bool counts_arrivals(const struct mix *mix, unsigned index)
{
    return mix->cache.server && mix->field.entrants[index].transport == &protocol_poll;
}

static int turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct mix *mix = context;
    const struct entrant *entrant = &mix->field.entrants[at];
    const struct load_mode mode = {.rate_per_s = entrant->stream->rate_per_s};
    const struct cache *cache = entrant->stream->cache ? &mix->cache : NULL;
    const bool counts = counted && counts_arrivals(mix, at);
    int err = counts ? arrivals_begin(&mix->arrivals[at], entrant->server, cache) : 0;
    if (err == 0)
        err = field_one_turn(&mix->field, at, &mode, mix->contestants[at], round, counted);
    return err == 0 && counts ? arrivals_end(&mix->arrivals[at], entrant->server, cache) : err;
}

/* What reached the server, and what the cache before it used. */
static void finish_arrivals(const struct mix *mix, unsigned index)
{
    const struct arrivals *arrivals = &mix->arrivals[index];
    json_t *figure = json_pack("{s:I}", "reached", (json_int_t)arrivals->reached);
    if (mix->field.entrants[index].stream->cache)
        json_object_set_new(figure, "cache_cpu_s", json_real((double)arrivals->used_ns / 1e9));
    contestant_figure(mix->contestants[index], "arrivals", figure);
}

/* With several sizes, the payload of a delivery is their mean. */
static void finish(struct mix *mix)
{
    for (unsigned i = 0; i < mix->field.count; i++) {
        struct contestant *contestant = mix->contestants[i];
        if (!contestant)
            continue;
        uint64_t bytes = 0, deliveries = 0;
        if (counts_arrivals(mix, i))
            finish_arrivals(mix, i);
        for (unsigned t = 0; t < contestant->turn_count; t++) {
            bytes += contestant->turns[t].load.payload_bytes;
            deliveries += contestant->turns[t].load.deliveries;
        }
        if (deliveries > 0)
            contestant->payload_bytes = (uint32_t)lround((double)bytes / (double)deliveries);
    }
}

static int race(struct mix *mix)
{
    int err = open_all(mix);
    for (unsigned i = 0; err == 0 && i < mix->field.count; i++) {
        struct contestant *contestant = field_contestant(&mix->field, i, "");
        mix->contestants[i] = contestant;
        const struct stream *stream = mix->field.entrants[i].stream;
        if (stream->state)
            contestant_figure(contestant, "informed", json_integer(mix->informed[i]));
        describe(stream, contestant);
    }
    const struct options *options = mix->bench->options;
    watch_turns(mix->bench, mix->field.count * (options->warmup_turns + options->turns));
    if (err == 0)
        err = field_take_turns(&mix->field, mix->field.count, turn, mix);
    finish(mix);
    return err;
}

static int run(struct bench *bench)
{
    static struct mix mix; /* the load keeps pointers into the streams */
    mix = (struct mix){.bench = bench};
    field_init(&mix.field, bench);
    int err = read_streams(&mix);
    if (err == 0)
        err = start(&mix);
    if (err == 0)
        err = race(&mix);
    field_close(&mix.field);
    cache_done(&mix.cache);
    return err;
}

const struct experiment experiment_mix = {
    .name = "mix",
    .use =
        {mix_options, "Workloads of your own: channels, sizes, rates and transports, mixed.",
         "A stream is written as part=value, with blanks between: name; transport (websocket); "
         "subscribers (1000), --streams of them on a connection of HTTP/2; channels (1), which "
         "they and the messages are spread over; size "
         "(128), or kinds=BYTESxPARTS,... for a mixture; rate (1), of all channels together; "
         "poll-ms; headers=browser, what a browser sends with each request; state=yes, who "
         "connects gets what the history holds first; cache=yes, its polls go through an nginx "
         "that keeps answers (./build.sh peers nginx-cache). All streams are connected at once and "
         "have "
         "the clock in turns; with --tls each is there once more, over TLS. A scenario has them as "
         "sections (bench/scenarios/README.md).\n\n"
         "  ringside-bench mix --stream 'name=chat subscribers=3000 channels=300 "
         "kinds=48x5,200x1 rate=180'\n"
         "  ringside-bench mix --stream 'name=full size=25000' --stream 'name=delta size=500'"},
    .defaults = defaults,
    .run = run,
};
