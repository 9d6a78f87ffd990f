/* capacity: climbs until the first thing breaks, or a bound that was computed before is reached;
 * then says what it was and what moves it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/capacity_plan.h"
#include "experiment/capacity_step.h"
#include "measure/clock.h"
#include "output/viewer.h"
#include "output/number.h"

static const enum option_id capacity_options[] = {
    OPTION_FROM,
    OPTION_TO,
    OPTION_STEP,
    OPTION_HOLD,
    OPTION_BROADCAST,
    OPTION_TRANSPORT,
    OPTION_STREAMS_EACH,
    OPTION_SIZE,
    OPTION_HEARTBEAT,
    OPTION_TLS,
    OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER,
    OPTION_TLS_RESUME_RAMP,
    OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->from = 10000;
    options->step_factor = 2;
    options->seconds = 5;
    options->broadcast_s = 60;
    options->transports[0] = &protocol_websocket;
    options->transport_count = 1;
}

/* ---- before ---- */

static void print_plan(const struct capacity_plan *plan, const struct capacity_machine *machine)
{
    char number[NUMBER_TEXT_MAX];
    printf("What bounds a climb here, both ends on this machine:\n\n");
    for (int i = 0; i < BOUND_COUNT; i++) {
        const struct capacity_bound *bound = &plan->bounds[i];
        printf("  %-18s %15s  %s\n", bound->name,
               bound->connections == UINT64_MAX ? "none"
                                                : number_grouped(number, bound->connections),
               bound->why);
    }
    printf("\nWhat may break before: a message queued on each of %s connections puts TCP under "
           "memory\npressure, and on %s stops it (net.ipv4.tcp_mem %" PRIu64 " %" PRIu64 " %" PRIu64
           ", in pages).\n",
           number_grouped(number, plan->pressure_at),
           number_grouped((char[NUMBER_TEXT_MAX]){0}, plan->stall_at), machine->tcp_mem[0],
           machine->tcp_mem[1], machine->tcp_mem[2]);
    if (plan->backlog_short)
        printf("The accept backlog too: net.core.somaxconn is %" PRIu64
               ", and %d connects are under way at a time.\n",
               machine->somaxconn, RAMP_IN_FLIGHT);
    printf("\n");
    fflush(stdout);
}

static int refuse(const struct capacity_plan *plan, uint32_t from)
{
    char remedy[PLAN_TEXT_MAX], number[NUMBER_TEXT_MAX], asked[NUMBER_TEXT_MAX];
    const struct capacity_bound *least = &plan->bounds[plan->least];
    capacity_fill(remedy, sizeof remedy, least->remedy, from);
    return bench_fail(-ENOSPC, "a climb from %s cannot begin: %s holds %s (%s). %s",
                      number_grouped(asked, from), least->name,
                      number_grouped(number, least->connections), least->why, remedy);
}

/* The last step, in round numbers where the machine sets it. */
static uint32_t top_of(const struct options *options, const struct capacity_plan *plan)
{
    enum {
        ROUND = 1000
    };
    uint64_t least = plan->bounds[plan->least].connections;
    if (options->to > 0 && options->to <= least)
        return options->to;
    if (least >= options->from + ROUND)
        least -= least % ROUND;
    return (uint32_t)least;
}

/* ---- the climb ---- */

static void say_step(const struct contestant *contestant, const struct capacity_evidence *evidence)
{
    char number[NUMBER_TEXT_MAX], time[NUMBER_TEXT_MAX];
    viewer_clear();
    printf("%s %s: ", number_grouped(number, evidence->wanted), contestant->name);
    if (evidence->stage == STAGE_WHOLE)
        printf("hold; a broadcast reached all in %s\n",
               number_time(time, (double)contestant->turns[0].load.elapsed_ns));
    else
        printf("broke\n");
    fflush(stdout);
}

/* What the machine can hold, for the step that reaches it without breaking. */
static json_t *of_bound(const struct capacity_bound *bound)
{
    return json_pack("{s:s, s:I, s:s, s:s}", "name", bound->name, "connections",
                     (json_int_t)bound->connections, "why", bound->why, "remedy", bound->remedy);
}

static int climb_all(const struct capacity_plan *plan, struct climb *climb, const uint32_t *steps,
                     unsigned count)
{
    struct capacity_evidence evidence = {.stage = STAGE_WHOLE};
    int err = 0;
    for (unsigned i = 0; err == 0 && evidence.stage == STAGE_WHOLE && i < count; i++) {
        err = climb_step(climb, steps[i], &evidence);
        if (err == 0)
            say_step(climb->contestant, &evidence);
    }
    if (err == 0)
        contestant_figure(climb->contestant, "bound", of_bound(&plan->bounds[plan->least]));
    return err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    static struct capacity_machine machine;
    static struct capacity_plan plan;
    uint32_t steps[PLAN_STEPS_MAX];
    capacity_machine_read(&machine);
    capacity_plan_make(&plan, &machine);
    print_plan(&plan, &machine);
    /* A climb to less than the default beginning is one step. */
    uint32_t from = options->to > 0 && options->to < options->from ? options->to : options->from;
    if (from > plan.bounds[plan.least].connections)
        return refuse(&plan, from);
    uint32_t top = top_of(options, &plan);
    unsigned count = capacity_steps(from, top, options->step_factor, options->step_add, steps);
    if (count == 0 || count * ways_count(options) > RESULT_CONTESTANTS_MAX)
        return bench_fail(-EINVAL, "from %u to %u are too many steps; take a larger --step", from,
                          top);
    bench->watch.memory_least = plan.memory_reserve / 2;
    int err = 0;
    struct way ways[WAYS_MAX];
    unsigned climbs = ways_of(options, ways);
    for (unsigned i = 0; err == 0 && i < climbs; i++) {
        struct climb climb;
        err = climb_begin(&climb, bench, &ways[i], top);
        if (err == 0)
            err = climb_all(&plan, &climb, steps, count);
        climb_end(&climb);
        bench->watch.memory_low = false;
    }
    return err;
}

const struct experiment experiment_capacity = {
    .name = "capacity",
    .use =
        {capacity_options,
         "Climbs until something breaks, and says what, and which setting moves it.",
         "Each step opens what is missing, holds it, and sends one message to all. It is broken "
         "when not all came up, one was lost, or the message did not reach everybody once. Before "
         "the climb it computes what this machine can hold, and never goes beyond.\n\n"
         "  ringside-bench capacity\n"
         "  ringside-bench capacity --from 100000 --step +100000 --to 1000000\n"
         "  ringside-bench capacity --transport sse,longpoll --to 200000"},
    .defaults = defaults,
    .run = run,
};
