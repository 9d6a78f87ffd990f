/* viewer: the view of a run, for the bench that started the run as a process of its own.
 *
 *   claims ── starts, with one end of a pair ──► latency
 *     └── viewer_take ◄──────── a state ◄── screen_show ┘
 *
 * Idea     Both ends are this very program, so what travels is the state as it lies in memory. The
 *          run does not draw; whoever started it does, or leaves it.
 * Threads  one on each side.
 * Memory   a descriptor on each side; what is on its way is the kernel's.
 * Bounds   what a socket holds, some twenty states. While it is full further ones are left out. */
#pragma once

#include <stdbool.h>

#include "output/view.h"

struct viewer {
    int fd;     /* ours; -1: nothing is viewed */
    int run_fd; /* the run's, until viewer_started */
};

/* Makes a pair, and leaves one end to the process that is started next. Returns 0 or negative
 * errno. */
int viewer_open(struct viewer *viewer);

/* It is started, or could not be. */
void viewer_started(struct viewer *viewer);

/* Takes the newest state that was shown since the last call. Never waits. Returns whether there is
 * one; `ret` is left alone when there is none. */
bool viewer_take(struct viewer *viewer, struct view_state *ret);

/* Nothing more is viewed. Accepts one that is not open. */
void viewer_close(struct viewer *viewer);

/* In a run: the end that was left to it, which is its own from now on; -1: there is none. */
int viewer_inherited(void);

/* In a run: shows a state. Never waits. */
void viewer_show(int fd, const struct view_state *state);
