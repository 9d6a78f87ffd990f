/* capacity_step: one step of a climb: more connections, a while of quiet, a broadcast to all.
 *
 *     climb_begin ─► climb_step(10,000) ─► climb_step(20,000) ─► … ─► climb_end
 *
 * Idea     Connections of earlier steps stay: a step opens only what is missing. Whatever goes
 *          wrong in a step is evidence and no failure of the run.
 * Threads  one.
 * Memory   climb_begin to climb_end.
 * Bounds   each stage of a step has a time that it may take. */
#pragma once

#include "experiment/bench.h"
#include "experiment/capacity_counters.h"
#include "experiment/field.h"
#include "measure/http_get.h"
#include "measure/slab.h"

/* Where in a step it broke. */
enum capacity_stage {
    STAGE_WHOLE, /* it did not */
    STAGE_RAMP,
    STAGE_HOLD,
    STAGE_BROADCAST,
};

/* What one step has shown beside counters and errors; bench/report/causes.py says what broke. */
struct capacity_evidence {
    enum capacity_stage stage;
    uint32_t wanted, up; /* connections */
    double elapsed_s;    /* of the stage where it broke */
    double allowed_s;    /* the bound on the time of that stage */
    bool stalled;        /* the first message to all did not reach all in time */
    uint64_t missing;    /* deliveries of the broadcast that did not come */
    bool server_ended;
    bool publisher_down; /* it could not connect, or lost its connection */
    bool memory_low;     /* the reserve was touched */
    double server_share; /* of its CPUs, in that stage; negative: unknown */
    double client_share;
};

struct climb {
    struct bench *bench;
    struct field field;
    struct server *server;
    struct http_get metrics;
    struct slab *slab_before; /* NULL: unknown */
    uint64_t rss_before;
    struct contestant *contestant; /* of the step under way */
};

/* Starts a server for `top` subscribers and makes the load; nobody is connected yet. Returns 0 or
 * negative errno, after a sentence. climb_end is due in either case. */
int climb_begin(struct climb *climb, struct bench *bench, const struct way *way, uint32_t top);

/* Climbs to `connections` and adds the contestant of this step, with its evidence. `ret->stage` is
 * where it broke. Returns 0, also when it broke, or -EINTR when somebody interrupted the run. */
int climb_step(struct climb *climb, uint32_t connections, struct capacity_evidence *ret);

/* Resets all connections and ends the server. */
void climb_end(struct climb *climb);
