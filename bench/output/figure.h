/* figure: values for run.json, rounded to what they can carry, so that the files stay readable.
 *
 * Idea     What only one experiment measures it makes itself, from these, and gives to the
 *          contestant by name (contestant_figure): neither result.h nor json.c knows of it.
 * Threads  one.
 * Memory   what is returned is the caller's. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "output/spread.h"

/* To the nearest multiple of `unit`; what is not finite is 0. */
json_t *figure_number(double value, double unit);
json_t *figure_seconds(int64_t ns);
json_t *figure_count(uint64_t value);

/* Sets nothing when the spread is of no values. */
void figure_set_spread(json_t *object, const char *name, struct spread spread, double unit);
