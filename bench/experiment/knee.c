/* knee: the highest rate, or the most subscribers, at which p99 stays under a bound. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/knee_find.h"
#include "measure/clock.h"

enum {
    TURNS = 3,
    BOUND_MS = 500,
    SEARCH_S = 60, /* for all searches together; what confirms comes on top */
    SUBSCRIBERS = 1000,
};

static const enum option_id knee_options[] = {
    OPTION_SUBSCRIBERS,  OPTION_RATE,          OPTION_BOUND, OPTION_TRANSPORT,
    OPTION_STREAMS_EACH, OPTION_SIZE,          OPTION_TURNS, OPTION_TURN_MS,
    OPTION_SEARCH,       OPTION_POLL_INTERVAL, OPTION_TLS,   OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER,   OPTIONS_OF_CLIENTS,   OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->subscribers = SUBSCRIBERS;
    options->bound_ms = BOUND_MS;
    options->turns = TURNS;
    options->seconds = SEARCH_S;
    options->transports[0] = &protocol_websocket;
    options->transports[1] = &protocol_sse;
    options->transport_count = 2;
}

/* ---- the run ---- */

/* Whatever came of it, the steps that were tried are kept. */
static int search_all(struct field *field, const struct knee_aim *aim)
{
    struct contestant *contestants[FIELD_ENTRANTS_MAX] = {NULL};
    struct knee *knees[FIELD_ENTRANTS_MAX] = {NULL};
    const unsigned count = field->count;
    int err = 0;
    assert(count > 0);
    for (unsigned i = 0; i < count; i++) {
        contestants[i] = field_contestant(field, i, "");
        knees[i] = knee_create(aim->of_subscribers, aim->rate_per_s, aim->bound_ns);
    }
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = knee_find(field, i, aim, contestants[i], knees[i]);
    if (err == 0)
        err = knee_confirm(field, aim, contestants, knees);
    for (unsigned i = 0; i < count; i++) {
        if (knees[i]->step_count > 0)
            contestant_figure(contestants[i], "knee", knee_json(knees[i]));
        knee_free(knees[i]);
    }
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct field field;
    if (options->rate_count > 1)
        return bench_fail(-EINVAL, "knee takes one --rate");
    const struct knee_aim aim = {
        .of_subscribers = options->rate_count == 1,
        .rate_per_s = options->rates[0],
        .subscribers_most = options->subscribers,
        .bound_ns = (int64_t)options->bound_ms * NS_PER_MS,
        .turn_ns = (int64_t)options->turn_ms * NS_PER_MS,
        .patience_ns = (int64_t)options->seconds * NS_PER_S / ways_count(options),
        .repeats = options->turns,
    };
    field_init(&field, bench);
    int err = field_serve_ways(&field, options->subscribers);
    if (err == 0)
        err = field_open(&field);
    if (err == 0)
        err = search_all(&field, &aim);
    field_close(&field);
    return err;
}

const struct experiment experiment_knee = {
    .name = "knee",
    .use =
        {knee_options, "The highest rate, or the most subscribers, with p99 under a bound.",
         "Open loop: messages are due by a schedule, and latency counts from the time at which a "
         "message was due. Without --rate it finds the highest rate for --subscribers; with "
         "--rate the largest number of subscribers, --subscribers at most. Steps are doubled, "
         "then halved between what held and what did not; --turns repeats confirm. A turn near "
         "the knee lasts eight times the bound, so that a backlog that grows is seen. All searches "
         "together have --search-seconds.\n\n"
         "  ringside-bench knee\n"
         "  ringside-bench knee --bound-ms 50 --transport websocket,sse,longpoll\n"
         "  ringside-bench knee --rate 20 --subscribers 9000"},
    .defaults = defaults,
    .run = run,
};
