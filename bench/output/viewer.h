/* viewer: another process that shows what a run is doing: bench/report/viewer.py.
 *
 *   whoever measures: viewer_tell ── a message of JSON ──► a process that draws ──► terminal
 *
 * Idea     Drawing is no part of what is measured. The bench only sends messages, and drops one
 *          that the other has no room for: the next comes soon. The one that draws is never on a
 *          server's CPU, and being of SCHED_BATCH it interrupts nobody. When the bench is gone,
 *          however that came about, it gives the terminal its cursor back and ends. Signals of the
 *          terminal are for the bench alone.
 * Threads  the main one; viewer_clear and viewer_leave in signal handlers too.
 * Memory   static: there is one terminal.
 * Bounds   VIEWER_MESSAGE_MAX; what the socket holds. */
#pragma once

#include <jansson.h>
#include <sched.h>
#include <stdbool.h>

enum {
    VIEWER_MESSAGE_MAX = 4096,
};

/* Whether standard output is a terminal that can move its cursor. */
bool viewer_has_terminal(void);

/* Starts it on the given CPUs, with these arguments, which end with NULL. Returns 0 or negative
 * errno. */
int viewer_begin(const cpu_set_t *cpus, const char *const *arguments);

/* Sends a message, whose reference it takes over. Never waits. */
void viewer_tell(json_t *message);

/* Returns when all that it was told is shown and what is drawn in place is taken away, so that
 * something else can be printed there; the next message brings it back. Does nothing before
 * viewer_begin. */
void viewer_clear(void);

/* Likewise, and for good: it has ended. */
void viewer_end(void);

/* Likewise in a signal handler that ends this process: it does not wait for long. */
void viewer_leave(void);
