/* knee_search: which step to try next, so that the highest one that holds is found in few steps.
 *
 *   start ─► ×2 ─► ×2 ─► fails ─► the middle … ─► within 5 % ─► what failed, again
 *     └─ fails ─► ÷2 ─► ÷2 ─► holds ─┘                            └─ holds: on, upwards
 *
 * Idea     Steps are far apart first (by 2), then the geometric middle between the highest that
 *          held and the lowest that failed, until the two are within the resolution. A neighbour on
 *          the host can spoil a turn and cannot improve one, so the failure that would end the
 *          search is tried again before it is believed.
 * Threads  one; no clock, no I/O: outcomes are arguments.
 * Memory   in place.
 * Bounds   KNEE_STEPS_MAX steps, then the search ends with what it has. */
#pragma once

#include <stdbool.h>

enum {
    KNEE_STEPS_MAX = 48,
};

struct knee_search {
    double low, high;   /* highest that held, 0: none; lowest that failed, 0: none */
    double least, most; /* what may be tried at all */
    double next;        /* 0: the search is over */
    unsigned steps;
    double failed[KNEE_STEPS_MAX]; /* every step that failed, as often as it did */
    unsigned failed_count;
    bool whole; /* only whole numbers */
    bool close; /* bisection has begun: the steps are near the knee */
};

/* Begins at `start`, which is moved to where it may be. `whole`: values are counts. */
void knee_search_init(struct knee_search *search, double start, double least, double most,
                      bool whole);

/* What became of the step at search->next; sets the next one. */
void knee_search_take(struct knee_search *search, bool held);

/* The step below one that turned out not to hold. */
double knee_search_below(double value, bool whole);
