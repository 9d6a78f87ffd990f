/* progress: how far a session of scenarios is, and what is seen of it while it runs.
 *
 *   on a terminal   the view of the scenario that runs, under a head of the whole session;
 *                   what a scenario came to stays above it, a line for each
 *   lines           a line for each scenario; `scenario` copies what its run says
 *   nothing         nothing
 *
 * Idea     A measurement goes on meanwhile on the same CPUs. So nothing is done here that nobody
 *          looks at, and the process sleeps until the run ends: a view wakes it four times a
 *          second, lines of a run twice, and nothing else does.
 * Threads  one.
 * Memory   in place. */
#pragma once

#include "claims/attempt.h"
#include "claims/scenario.h"
#include "experiment/bench.h"
#include "output/viewer.h"

enum {
    PROGRESS_LABEL_MAX = 128,
};

struct progress {
    struct bench *bench;
    bool aloud;               /* what the runs say is of interest, too */
    const json_t *verdicts;   /* of all claims that were judged */
    unsigned at, count;       /* the scenario that runs is the at-th of so many */
    double may_s, ahead_s;    /* that those that are done could have taken, and those to come may */
    double took_s;            /* that they took */
    unsigned verdicts_before; /* of this scenario */

    const struct scenario *scenario; /* that runs */
    char label[PROGRESS_LABEL_MAX];
    int64_t began_ns;
    off_t copied; /* of what it says */
    struct viewer viewer;
    struct view_state view; /* the newest */
};

/* `verdicts` grows while the scenarios run. */
void progress_init(struct progress *progress, struct bench *bench, bool aloud,
                   const json_t *verdicts);

/* A scenario will run. Before the first of them begins. */
void progress_add(struct progress *progress, const struct scenario *scenario);

/* The next one begins; its run is about to be started, and then is. */
void progress_begin(struct progress *progress, const struct scenario *scenario);
void progress_started(struct progress *progress);

/* Sleeps until the run has ended, or it is time to look at it again, or a signal came; shows what
 * is new. Returns whether it has ended. */
bool progress_wait(struct progress *progress, struct process *run);

/* It has ended, and its claims are judged. */
void progress_end(struct progress *progress, const struct attempt *attempt);
