/* figure: values for run.json, rounded to what they can carry, so that the files stay readable.
 *
 * Idea     What only one experiment measures it makes itself, from these, and gives to the
 *          contestant by name (contestant_figure): neither result.h nor json.c knows of it.
 * Threads  one.
 * Memory   what is returned is the caller's. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* To the nearest multiple of `unit`; what is not finite is 0. */
json_t *figure_number(double value, double unit);
json_t *figure_seconds(int64_t ns);
json_t *figure_count(uint64_t value);
