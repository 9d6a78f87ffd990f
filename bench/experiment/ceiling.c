/* ceiling: what bare loops reach, and the rate at which connections can be had at all. */
#include "experiment/bench.h"
#include "experiment/field.h"

static const enum option_id ceiling_options[] = {
    OPTION_SUBSCRIBERS, OPTION_SIZE,    OPTION_DEPTH,  OPTION_RATE,        OPTION_AGAINST,
    OPTION_TURNS,       OPTION_TURN_MS, OPTION_WARMUP, OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

/* The rate at which connections can be had at all is part of the ceiling. */
static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    struct server *server;
    field_init(&field, bench);
    int err = bench_bare_start(bench, BARE_URING, options->subscribers, &server);
    if (err < 0)
        return err;
    field_add(&field, "bare-connect", KIND_CEILING, &protocol_connect, server,
              options->subscribers);
    err = field_add_loops(&field);
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

const struct experiment experiment_ceiling = {
    .name = "ceiling",
    .use =
        {ceiling_options, "What bare loops reach on this machine: the ruler for the others.",
         "bare-send is one send() for each message and socket, bare-uring the same sends 512 to "
         "a system call, bare-coalesce one send() for all that one read brought. bare-connect is "
         "TCP alone. With --clients socketless it says too how many segments a second those "
         "clients take and send: that is their own ceiling where the run says client-bound.\n\n"
         "  ringside-bench ceiling\n"
         "  ringside-bench ceiling --subscribers 100000 --against bare-uring"},
    .defaults = field_defaults,
    .run = run,
};
