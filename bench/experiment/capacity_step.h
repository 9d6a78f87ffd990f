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
#include "experiment/capacity_verdict.h"
#include "experiment/field.h"
#include "measure/http_get.h"
#include "measure/slab.h"

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

/* Climbs to `connections` and adds the contestant of this step. `ret->stage` is where it broke.
 * Returns 0, also when it broke, or -EINTR when somebody interrupted the run. */
int climb_step(struct climb *climb, uint32_t connections, struct capacity_evidence *ret);

/* Resets all connections and ends the server. */
void climb_end(struct climb *climb);
