/* engines: the same server on io_uring and on epoll, with bare loops beside them, at several counts
 * of subscribers: what io_uring is worth by itself.
 *
 * Everything above the ring is the same in both, so nothing else can explain a difference. Each
 * count is a field of its own: all contestants connected, and the clock in turns. Every other round
 * runs backwards, since who comes after whom may matter too. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/field.h"
#include "output/number.h"

enum {
    URING,
    EPOLL,
    OURS, /* how many servers of ours; bare loops follow */
    SERVERS_MAX = OURS + BARE_LOOP_COUNT,
    ENTRANTS_MAX = OURS * WAYS_ANY_MAX + BARE_LOOP_COUNT,
    METRICS_MAX = 64 * 1024,
};

static const char CALLS[] = "server:system_calls";
static const char *const names[OURS] = {"io_uring", "epoll"};
static const enum bare_loop loops[] = {BARE_SEND, BARE_URING, BARE_COALESCE};

static const enum option_id engines_options[] = {
    OPTION_COUNTS,  OPTION_SIZE,        OPTION_DEPTH,      OPTION_RATE,
    OPTION_AGAINST, OPTION_TURNS,       OPTION_TURN_MS,    OPTION_WARMUP,
    OPTION_TLS,     OPTION_TLS_VERSION, OPTION_TLS_CIPHER, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    static const uint32_t counts[] = {100, 1000, 10000};
    memcpy(options->counts, counts, sizeof counts);
    options->count_count = sizeof counts / sizeof counts[0];
    options->depths[0] = 1;
    options->depths[1] = 8;
    options->depth_count = 2;
    options->turns = 5;
    options->turn_ms = 700;
    for (int i = 0; i < BARE_LOOP_COUNT; i++)
        options->against[i] = true;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

/* ---- the contestants ---- */

/* "epoll", "epoll-tls-gcm". The text is constant. */
static const char *name_of(unsigned engine, const struct way *way)
{
    static char texts[OURS][TLS_CIPHER_COUNT][RESULT_NAME_MAX];
    if (!way->tls)
        return names[engine];
    char *text = texts[engine][way->cipher];
    snprintf(text, RESULT_NAME_MAX, "%s-tls-%s", names[engine], options_cipher_name(way->cipher));
    return text;
}

/* What runs through all counts. */
struct engines {
    struct bench *bench;
    struct server *servers[SERVERS_MAX];  /* ours, then the bare loops */
    enum bare_loop bare[BARE_LOOP_COUNT]; /* which those are */
    unsigned count;
    struct way ways[WAYS_ANY_MAX]; /* both of ours in one, then in the next */
    unsigned way_count;
    struct http_get metrics[OURS];
    struct workload workloads[FIELD_WORKLOADS_MAX];
    unsigned workload_count;
};

static uint32_t largest(const struct options *options)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < options->count_count; i++)
        most = options->counts[i] > most ? options->counts[i] : most;
    return most;
}

/* What cannot be measured is said before anything starts. */
static int check(const struct engines *engines)
{
    const struct options *options = engines->bench->options;
    uint32_t most = largest(options);
    unsigned entrants = OURS * engines->way_count + BARE_LOOP_COUNT;
    unsigned contestants = options->count_count * engines->workload_count * entrants;
    if (options->address)
        return bench_fail(-EINVAL, "engines starts both servers itself, and takes no --address");
    if (contestants > RESULT_CONTESTANTS_MAX)
        return bench_fail(-EINVAL,
                          "%u counts and %u workloads are more than fit into one run; "
                          "ask for fewer",
                          options->count_count, engines->workload_count);
    if (!bench_bare_fits(BARE_SEND,
                         most + most / BENCH_CONNECTIONS_SHARE + BENCH_CONNECTIONS_SLACK))
        return bench_fail(-EMFILE,
                          "epoll needs a file descriptor for each connection, and "
                          "RLIMIT_NOFILE does not allow %u; raise it with `ulimit -Hn`, "
                          "or ask for fewer",
                          most);
    return 0;
}

static int start(struct engines *engines)
{
    static const char *const settings[OURS][2] = {{"engine=io_uring"}, {"engine=epoll"}};
    struct bench *bench = engines->bench;
    uint32_t most = largest(bench->options);
    int err = 0;
    for (unsigned i = 0; err == 0 && i < OURS; i++) {
        err = bench_server_start(bench, most, settings[i], &engines->servers[i]);
        if (err == 0)
            http_get_init(&engines->metrics[i], &engines->servers[i]->address);
        engines->count++;
    }
    for (unsigned i = 0; err == 0 && i < BARE_LOOP_COUNT; i++) {
        if (!bench->options->against[loops[i]])
            continue;
        engines->bare[engines->count - OURS] = loops[i];
        err = bench_bare_start(bench, loops[i], most, &engines->servers[engines->count++]);
    }
    return err;
}

/* ---- one count of subscribers ---- */

struct race {
    struct engines *engines;
    struct field field;
    struct contestant *contestants[FIELD_WORKLOADS_MAX][ENTRANTS_MAX];
    unsigned ours;                                     /* entrants, before the bare loops */
    uint64_t calls[FIELD_WORKLOADS_MAX][ENTRANTS_MAX]; /* system calls in the turns that count */
};

/* As of the server's last turn but one, which is near enough. */
static uint64_t calls_so_far(struct http_get *get)
{
    struct capacity_counters counters = {0};
    char *text = malloc(METRICS_MAX);
    if (text && http_get(get, "/metrics", text, METRICS_MAX) == 200)
        counters_take_metrics(&counters, text);
    free(text);
    return counters.values[COUNTER_SYSTEM_CALLS];
}

static int turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct race *race = context;
    struct engines *engines = race->engines;
    const unsigned w = at / race->field.count, i = at % race->field.count;
    bool ours = i < race->ours;
    uint64_t before = ours ? calls_so_far(&engines->metrics[i % OURS]) : 0;
    int err = field_one_turn(&race->field, i, &engines->workloads[w].mode, race->contestants[w][i],
                             round, counted);
    if (err == 0 && counted && ours)
        race->calls[w][i] += calls_so_far(&engines->metrics[i % OURS]) - before;
    return err;
}

static void add_contestants(struct race *race, unsigned w, uint32_t subscribers)
{
    const struct workload *workload = &race->engines->workloads[w];
    struct contestant **row = race->contestants[w];
    char name[RESULT_NAME_MAX], text[NUMBER_TEXT_MAX];
    snprintf(name, sizeof name, "%s subscribers, %.20s", number_grouped(text, subscribers),
             workload->name);
    const struct contestant *ceiling = NULL;
    for (unsigned i = 0; i < race->field.count; i++) {
        row[i] = field_contestant(&race->field, i, name);
        if (row[i]->kind == KIND_CEILING && !ceiling)
            ceiling = row[i];
    }
    for (unsigned i = 0; i < race->field.count; i++)
        if (row[i] != ceiling && workload->mode.depth > 0) /* a rate is no race */
            row[i]->ceiling = ceiling;
}

static void take_counts(struct race *race)
{
    for (unsigned w = 0; w < race->engines->workload_count; w++)
        for (unsigned i = 0; i < race->ours; i++)
            if (race->calls[w][i] > 0)
                race->contestants[w][i]->counters =
                    json_pack("{s:I}", CALLS, (json_int_t)race->calls[w][i]);
    for (unsigned i = 0; i < race->field.count; i++)
        field_failures(&race->field, i, race->contestants[0][i]);
}

/* Ours in each way, then the bare loops. */
static int add_entrants(struct race *race, uint32_t subscribers)
{
    const struct engines *engines = race->engines;
    int err = 0;
    for (unsigned w = 0; err == 0 && w < engines->way_count; w++)
        for (unsigned i = 0; err == 0 && i < OURS; i++) {
            const struct way *way = &engines->ways[w];
            err = field_add_way(&race->field, way, engines->servers[i], subscribers);
            struct entrant *entrant = &race->field.entrants[race->field.count - 1];
            entrant->name = name_of(i, way);
            entrant->plain = way->tls ? &race->field.entrants[i] : NULL;
            snprintf(entrant->channel, sizeof entrant->channel, "bench-%.40s", entrant->name);
        }
    race->ours = race->field.count;
    for (unsigned i = OURS; i < engines->count; i++)
        field_add(&race->field, bare_loop_name(engines->bare[i - OURS]), KIND_CEILING,
                  &protocol_websocket, engines->servers[i], subscribers);
    return err;
}

static int run_count(struct engines *engines, uint32_t subscribers)
{
    struct race race = {.engines = engines};
    field_init(&race.field, engines->bench);
    race.field.memory_unread = true;
    int err = add_entrants(&race, subscribers);
    if (err == 0)
        err = field_open(&race.field);
    if (err == 0) {
        for (unsigned w = 0; w < engines->workload_count; w++)
            add_contestants(&race, w, subscribers);
        err =
            field_take_turns(&race.field, engines->workload_count * race.field.count, turn, &race);
        take_counts(&race);
    }
    field_close(&race.field);
    return err;
}

/* ---- the run ---- */

static int run(struct bench *bench)
{
    struct engines engines = {.bench = bench};
    const struct options *options = bench->options;
    engines.workload_count = field_workloads(options, engines.workloads);
    engines.way_count = ways_of_any(options, engines.ways);
    int err = check(&engines);
    if (err == 0)
        err = start(&engines);
    const unsigned entrants = engines.count + (engines.way_count - 1) * OURS;
    watch_turns(bench, options->count_count * engines.workload_count * entrants *
                           (options->warmup_turns + options->turns));
    for (unsigned i = 0; err == 0 && i < options->count_count; i++)
        err = run_count(&engines, options->counts[i]);
    for (unsigned i = 0; i < engines.count && i < OURS; i++)
        http_get_done(&engines.metrics[i]);
    return err;
}

const struct experiment experiment_engines = {
    .name = "engines",
    .use = {engines_options, "The same server on io_uring and on epoll: what io_uring is worth.",
            "WebSocket fan-out at several counts of subscribers, closed loop, in turns, beside "
            "the bare loops. A difference matters when it is above 5 % in three of four rounds. "
            "With one subscriber the latency is that of a request and its echo. "
            "With --tls both once more over TLS.\n\n"
            "  ringside-bench engines\n"
            "  ringside-bench engines --subscribers 1,10000 --depth 1 --turns 9\n"
            "  ringside-bench engines --subscribers 1000 --rate 50 --against none"},
    .defaults = defaults,
    .run = run,
};
