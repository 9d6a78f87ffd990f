/* fanout: one message to everybody, as fast as the loop closes or at a rate; and `ceiling`, the
 * same for the bare loops alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/tls_verdict.h"

enum {
    TURNS = 7,
};

static const enum option_id fanout_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,   OPTION_DEPTH,   OPTION_RATE,       OPTION_TRANSPORT,
    OPTION_AGAINST,     OPTION_TURNS,  OPTION_TURN_MS, OPTION_WARMUP,     OPTION_POLL_INTERVAL,
    OPTION_RTT,         OPTION_JITTER, OPTION_TLS,     OPTION_TLS_CIPHER, OPTION_COUNT,
};

static const enum option_id ceiling_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,    OPTION_DEPTH,  OPTION_RATE,  OPTION_AGAINST,
    OPTION_TURNS,       OPTION_TURN_MS, OPTION_WARMUP, OPTION_COUNT,
};

static void ceiling_defaults(struct options *options)
{
    options->subscribers = 9000;
    options->turns = TURNS;
    options->depths[0] = 1;
    options->depths[1] = 8;
    options->depth_count = 2;
    for (int i = 0; i < BARE_LOOP_COUNT; i++)
        options->against[i] = true;
}

static void fanout_defaults(struct options *options)
{
    ceiling_defaults(options);
    options->transports[0] = LOAD_WEBSOCKET;
    options->transports[1] = LOAD_SSE;
    options->transport_count = 2;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

/* The loops of --against that can have so many connections; says which cannot. */
static int add_loops(struct field *field, struct bench *bench)
{
    static const enum bare_loop order[] = {BARE_SEND, BARE_URING, BARE_COALESCE};
    const struct options *options = bench->options;
    for (int i = 0; i < BARE_LOOP_COUNT; i++) {
        struct server *server;
        if (!options->against[order[i]])
            continue;
        if (!bench_bare_fits(order[i], options->subscribers)) {
            result_note(&bench->result,
                        "%s needs a file descriptor for each of %u connections, more than "
                        "RLIMIT_NOFILE allows, and was left out.",
                        bare_loop_name(order[i]), options->subscribers);
            continue;
        }
        int err = bench_bare_start(bench, order[i], options->subscribers, &server);
        if (err < 0)
            return err;
        field_add(field, bare_loop_name(order[i]), KIND_CEILING, LOAD_BARE, server,
                  options->subscribers);
    }
    return 0;
}

static int run_fanout(struct bench *bench)
{
    struct field field;
    field_init(&field, bench);
    int err = field_serve_ways(&field, bench->options->subscribers);
    if (err == 0)
        err = add_loops(&field, bench);
    if (err == 0)
        err = field_race(&field);
    if (err == 0)
        tls_judge_fanout(&bench->result);
    return err;
}

/* The rate at which connections can be had at all is part of the ceiling. */
static int run_ceiling(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    struct server *server;
    field_init(&field, bench);
    int err = bench_bare_start(bench, BARE_URING, options->subscribers, &server);
    if (err < 0)
        return err;
    field_add(&field, "bare-connect", KIND_CEILING, LOAD_CONNECT, server, options->subscribers);
    err = add_loops(&field, bench);
    if (err < 0)
        return err;
    err = field_open(&field);
    if (err == 0) {
        struct workload workloads[FIELD_WORKLOADS_MAX];
        unsigned count = field_workloads(options, workloads);
        struct contestant *connect = field_contestant(&field, 0, "");
        contestant_note(connect, "TCP connections opened and accepted, without a handshake");
        err = field_rounds(&field, workloads, count, field_ceiling(&field));
    }
    field_close(&field);
    return err;
}

const struct experiment experiment_fanout = {
    .name = "fanout",
    .use =
        {fanout_options, "One message to all subscribers, beside what bare loops reach.",
         "All contestants stay connected and get the clock in turns of about a second; the ratio "
         "to the bare send() loop is taken within each round, and its median is the figure.\n\n"
         "  ringside-bench fanout\n"
         "  ringside-bench fanout --subscribers 1000 --depth 1,8,64\n"
         "  ringside-bench fanout --rate 5,10 --depth 1\n"
         "  ringside-bench fanout --tls --transport websocket --against none\n"
         "  ringside-bench fanout --shards 2 --server-cpus 0,1 --against none"},
    .defaults = fanout_defaults,
    .run = run_fanout,
};

const struct experiment experiment_ceiling = {
    .name = "ceiling",
    .use =
        {ceiling_options, "What bare loops reach on this machine: the ruler for the others.",
         "bare-send is one send() for each message and socket, bare-uring the same sends 512 to "
         "a system call, bare-coalesce one send() for all that one read brought. bare-connect is "
         "TCP alone.\n\n"
         "  ringside-bench ceiling\n"
         "  ringside-bench ceiling --subscribers 100000 --against bare-uring"},
    .defaults = ceiling_defaults,
    .run = run_ceiling,
};
