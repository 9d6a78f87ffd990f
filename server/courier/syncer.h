/* syncer: a thread that waits for the disk, so that the courier does not.
 *
 *   courier ── syncer_begin ──► fdatasync ── bell ──► courier ── syncer_end
 *
 * Idea     The queue's commits are in its log, and on the disk when the log is synced. Meanwhile
 *          the courier delivers; what comes in that time shares the next sync.
 * Threads  syncer_begin, syncer_end and syncer_wait on the courier's; the rest before and after.
 * Memory   A thread, a descriptor.
 * Bounds   One sync at a time. */
#pragma once

#include <stdbool.h>

struct bell;
struct syncer;

/* For a file that is there. The bell, which may be NULL, rings when a sync is over. Returns 0 or
 * negative errno. */
int syncer_create(struct syncer **ret, const char *path, const struct bell *bell);
/* Waits for what is under way. NULL is allowed. */
void syncer_free(struct syncer *syncer);

/* What was written before is on the disk when it is over. None may be under way. */
void syncer_begin(struct syncer *syncer);
/* Returns false while one is under way. Otherwise, what became of it: 0 or negative errno. */
bool syncer_end(struct syncer *syncer, int *ret_err);
/* Until the one under way, if there is one, is over. */
void syncer_wait(struct syncer *syncer);
