/* fanout: one message to everybody, as fast as the loop closes or at a rate. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"

static const enum option_id fanout_options[] = {
    OPTION_SUBSCRIBERS,   OPTION_SIZE,       OPTION_DEPTH,       OPTION_RATE,    OPTION_TRANSPORT,
    OPTION_STREAMS_EACH,  OPTION_AGAINST,    OPTION_TURNS,       OPTION_TURN_MS, OPTION_WARMUP,
    OPTION_POLL_INTERVAL, OPTION_TOKENS,     OPTION_RTT,         OPTION_JITTER,  OPTION_TLS,
    OPTION_TLS_VERSION,   OPTION_TLS_CIPHER, OPTIONS_OF_CLIENTS, OPTION_VANISH,  OPTION_COUNT,
};

static void fanout_defaults(struct options *options)
{
    field_defaults(options);
    options->transports[0] = &protocol_websocket;
    options->transports[1] = &protocol_sse;
    options->transport_count = 2;
    options->tls_cipher_count = 1; /* the first: AES-128-GCM */
}

static int run_fanout(struct bench *bench)
{
    struct field field;
    field_init(&field, bench);
    int err = field_serve_ways(&field, bench->options->subscribers);
    if (err == 0)
        err = field_add_loops(&field);
    if (err == 0)
        err = field_race(&field);
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
