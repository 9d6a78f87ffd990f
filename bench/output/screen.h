/* screen: the view of a run on a terminal, drawn in place a few times a second.
 *
 *   whoever measures: screen_show ── copies the state ──► a thread that draws ──► terminal
 *
 * Idea     Drawing is no part of what is measured. The thread that measures only copies a state,
 *          and leaves even that out when the other holds it: the next one comes soon. The one that
 *          draws is never on a server's CPU, and being of SCHED_BATCH it interrupts nobody.
 * Terminal The block stands where the cursor was, and its lines are overwritten; nothing above is
 *          touched. The cursor is hidden, and comes back on every way out but SIGKILL: screen_end,
 *          exit, a signal that ends or stops the process. A new width is seen at the next
 *          drawing. Colours are left out where NO_COLOR says so, and other characters than ASCII
 *          where the locale has none.
 * Threads  screen_begin to screen_end on the main thread; screen_show and screen_clear on any one
 *          at a time; screen_leave in signal handlers.
 * Memory   static: there is one terminal. */
#pragma once

#include <sched.h>

#include "output/view.h"

/* Makes the thread, on the given CPUs. Nothing is drawn before screen_show. Returns 0, -ENOTTY when
 * standard output is no terminal that can move its cursor, or another negative errno. */
int screen_begin(const cpu_set_t *cpus);

/* What is to be seen from now on. Costs a copy of the state; never waits. */
void screen_show(const struct view_state *state);

/* Takes the block away, so that something else can be printed where it stood; the next screen_show
 * brings it back. Does nothing before screen_begin. */
void screen_clear(void);

/* Clears, and ends the thread. Does nothing before screen_begin. */
void screen_end(void);

/* Brings the cursor back, and nothing is drawn any more. For signal handlers that end the process.
 */
void screen_leave(void);
