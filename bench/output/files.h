/* files: what a run leaves in its folder: run.json, report.html.
 *
 *   runs/<date>-<experiment>-<commit>[-dirty][-n]/
 *
 * Threads  one.
 * Memory   a path, in place. */
#pragma once

#include <stdbool.h>

#include "output/result.h"

enum {
    FILES_PATH_MAX = 1024,
    FILES_COMMIT_MAX = 41,
};

/* In place of a folder: the run leaves none. */
#define FILES_NONE "none"

struct files {
    char folder[FILES_PATH_MAX];   /* empty: none */
    char commit[FILES_COMMIT_MAX]; /* or "unknown" */
    bool dirty;
};

/* Makes the folder, below `results` or, when it is NULL, below runs/ of the repository; none for
 * FILES_NONE. Returns 0 or negative errno with a sentence on standard error. */
int files_init(struct files *files, const char *experiment, const char *results);

/* Has bench/report finish the run: run.json with its verdicts, the page, and with `text` the tables
 * on the terminal; `copy` is a second place for run.json, or NULL. Returns 0, or negative errno
 * after a sentence: what was measured is then kept as measured.json. */
int files_write(const struct files *files, const struct result *result, const char *copy,
                bool text);
