/* json: run.json, as docs/RESULTS.md describes them.
 *
 * Threads  one.
 * Memory   the caller owns what is returned. */
#pragma once

#include <jansson.h>

#include "output/result.h"

/* What was built, as in run.json. */
json_t *json_of_build(const struct result *result, const char *commit, bool dirty);

/* The whole run; NULL when there is no memory. */
json_t *json_of_result(const struct result *result, const char *commit, bool dirty);
