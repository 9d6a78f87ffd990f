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
    bool report; /* report.html was written */
    json_t *run; /* as it was written */
};

/* Makes the folder, below `results` or, when it is NULL, below runs/ of the repository; none for
 * FILES_NONE. Returns 0 or negative errno with a sentence on standard error. */
int files_init(struct files *files, const char *experiment, const char *results);

/* Writes all files; `copy` is a second place for run.json, or NULL. Returns 0 or negative errno. A
 * missing report program is said, and is no failure: the figures are in run.json. */
int files_write(struct files *files, const struct result *result, const char *copy);

/* Prints the tables of the run that was written, as the report has them. False: without Python
 * there are none, and that was said. */
bool files_print(const struct files *files);

void files_done(struct files *files);
