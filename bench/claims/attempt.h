/* attempt: one scenario is run, by this very program as a process of its own.
 *
 * Idea     Whatever happens to a run (it fails, hangs, crashes) happens to that process alone. It
 *          leaves a run.json, and that is all that is taken from it.
 * Threads  one.
 * Memory   in place, and the run as JSON.
 * Bounds   scenario->seconds, and ATTEMPT_GRACE_MS in which it may end itself. */
#pragma once

#include "claims/scenario.h"
#include "experiment/bench.h"

enum {
    ATTEMPT_GRACE_MS = 20000,
    ATTEMPT_WHY_MAX = 512,
};

struct attempt {
    json_t *run; /* NULL: there is none; why says so */
    char command[2 * SCENARIO_TEXT_MAX];
    char why[ATTEMPT_WHY_MAX];
    double elapsed_s;
};

struct progress;

/* Runs it to its end; `progress` has begun it, and says how it goes on. Returns 0, also when it
 * failed, or -EINTR. */
int attempt_run(struct bench *bench, const struct scenario *scenario, struct progress *progress,
                struct attempt *ret);

/* Gives the run back. */
void attempt_done(struct attempt *attempt);
