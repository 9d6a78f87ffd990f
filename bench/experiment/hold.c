/* hold: connections that do nothing, and what they cost: user memory, kernel memory by cache, the
 * server's CPU between heartbeats; one message to all of them, as proof that they were there; a
 * tenth that comes back; and how long the server takes to forget them all.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/goings.h"
#include "experiment/settings.h"
#include "experiment/vanishing.h"
#include "measure/clock.h"
#include "output/figure.h"

static const int64_t BROADCAST_NS = (int64_t)60 * NS_PER_S; /* ends when everybody has it */

enum {
    SAMPLES_MAX = 600, /* in the timeline, however long the run is */
};

static const enum option_id hold_options[] = {
    OPTION_CONNECTIONS, OPTION_TRANSPORT,  OPTION_STREAMS_EACH, OPTION_SECONDS,
    OPTION_HEARTBEAT,   OPTION_AGAINST,    OPTION_SIZE,         OPTION_TLS,
    OPTION_TLS_VERSION, OPTION_TLS_CIPHER, OPTION_TLS_RESUME,   OPTION_TLS_RESUME_RAMP,
    OPTION_RTT,         OPTION_TOKENS,     OPTION_JITTER,       OPTIONS_OF_CLIENTS,
    OPTION_VANISH,      OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->connections = 15000;
    options->seconds = 20;
    options->transports[0] = &protocol_websocket;
    options->transport_count = 1;
    options->against[BARE_URING] = true;
}

static int idle(struct field *field, struct contestant *contestant)
{
    const struct options *options = field->bench->options;
    const struct process *process = &field->entrants[0].server->process;
    watch_phase(field->bench, "idle", contestant->name, NULL);
    watch_lasts(field->bench, (int64_t)options->seconds * NS_PER_S);
    struct strain_mark mark;
    struct strain strain;
    int64_t start_ns = clock_now_ns();
    strain_begin(&mark, process, options->server_cpus, options->client_cpus);
    int err = load_idle(field->load, (int64_t)options->seconds * NS_PER_S, LOAD_ALL);
    strain_end(&mark, &strain);
    if (process->pid > 0) {
        contestant_figure(contestant, "idle",
                          json_pack("{s:o, s:o}", "elapsed_s",
                                    figure_seconds(clock_now_ns() - start_ns), "server_cpu_s",
                                    figure_seconds(strain_own_ns(&strain.cost))));
    }
    return err;
}

enum {
    BROADCASTS = 3,          /* the first also wakes sockets that slept since the ramp */
    BROADCASTS_REJOINED = 1, /* with those that came back */
};

/* One message to everybody, some times. */
static int broadcast(struct field *field, struct contestant *contestant, unsigned count)
{
    static const struct load_mode once = {.depth = 1, .messages = 1};
    int err = 0;
    watch_phase(field->bench, "broadcast", contestant->name, NULL);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = field_turn(field, 0, &once, BROADCAST_NS, contestant->turn_count, contestant);
    return err;
}

/* Raw WebSockets that come back have no place in the channel before a message tells them. */
static int come_and_go(struct field *field, struct contestant *contestant)
{
    int err = goings_reconnect(field, 0, contestant);
    if (err == 0)
        err = field_settle(field, 0);
    if (err == 0)
        err = broadcast(field, contestant, BROADCASTS_REJOINED);
    return err == 0 ? goings_leave(field, 0, contestant) : err;
}

/* Long polls and short polls have their place in the channel from the ramp; the others from the
 * first message that they see. */
static int hold(struct field *field)
{
    struct entrant *entrant = &field->entrants[0];
    int err = field_open(field);
    if (err < 0)
        return err;
    struct contestant *contestant = field_contestant(field, 0, "");
    struct vanishing vanishing = {0};
    err = idle(field, contestant);
    if (err == 0)
        err = vanishing_begin(&vanishing, field);
    err = vanishing_end(&vanishing, field, contestant, err);
    if (err < 0 || !entrant->publish)
        return err;
    err = broadcast(field, contestant, BROADCASTS);
    if (err == 0)
        err = come_and_go(field, contestant);
    return err;
}

/* Accepted sockets with a poll armed and nothing else: what the kernel wants for a connection. */
static int hold_bare(struct bench *bench)
{
    struct field field;
    struct server *server;
    uint32_t connections = bench->options->connections;
    enum bare_loop loop = bench->options->against[BARE_URING] ? BARE_URING : BARE_SEND;
    if (!bench_bare_fits(loop, connections)) {
        result_note(&bench->result, "%s cannot have %u descriptors, and was left out.",
                    bare_loop_name(loop), connections);
        return 0;
    }
    int err = bench_bare_start(bench, loop, connections, &server);
    if (err < 0)
        return err;
    field_init(&field, bench);
    field_add(&field, "bare-connect", KIND_CEILING, &protocol_connect, server, connections);
    err = field_open(&field);
    if (err == 0)
        contestant_note(field_contestant(&field, 0, ""),
                        "accepted by %s: a socket, a poll, no handshake", bare_loop_name(loop));
    field_close(&field);
    bench_server_stop(server);
    return err;
}

static int hold_way(struct bench *bench, const struct way *way)
{
    struct field field;
    struct server *server;
    struct settings settings = {0};
    if (bench->options->heartbeat_ms > 0)
        settings_add(&settings, "heartbeat_ms=%u", bench->options->heartbeat_ms);
    int err = bench_server_start(bench, bench->options->connections, settings.list, &server);
    if (err < 0)
        return err;
    field_init(&field, bench);
    err = field_add_way(&field, way, server, bench->options->connections);
    if (err == 0)
        err = hold(&field);
    field_close(&field);
    int stopped = bench_server_stop(server);
    return err ? err : stopped;
}

/* ---- the run ---- */

static int run(struct bench *bench)
{
    bool bare = bench->options->against[BARE_URING] || bench->options->against[BARE_SEND];
    int64_t sample_ns = (int64_t)bench->options->seconds * NS_PER_S / SAMPLES_MAX;
    if (sample_ns > bench->watch.sample_every_ns)
        bench->watch.sample_every_ns = sample_ns;
    int err = bench_memory_check(bench, bench->options->connections, 0);
    if (err == 0 && bare)
        err = hold_bare(bench);
    struct way ways[WAYS_MAX];
    unsigned count = ways_of(bench->options, ways);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = hold_way(bench, &ways[i]);
    return err;
}

const struct experiment experiment_hold = {
    .name = "hold",
    .use =
        {hold_options, "Opens connections, holds them, and says what each one costs.",
         "User memory is all growth of the server's RSS. Kernel memory is the growth of the slab "
         "caches, with both ends of every connection in it; reading it needs root. Between "
         "heartbeats an idle server should use no CPU: --heartbeat-ms 3600000 shows it. A TLS "
         "handshake in full takes both sides a millisecond; with --tls-resume-ramp all but the "
         "first resume, and what a connection costs afterwards is the same.\n\n"
         "  ringside-bench hold --connections 15000 --heartbeat-ms 3600000\n"
         "  ringside-bench hold --connections 1000000 --transport sse --seconds 600\n"
         "  ringside-bench hold --transport poll,longpoll,sse,websocket\n"
         "  ringside-bench hold --tls --tls-resume-ramp --connections 1000000 --seconds 60"},
    .defaults = defaults,
    .run = run,
};
