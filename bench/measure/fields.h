/* fields: lines of numbers, as /proc writes them.
 *
 * Threads  any.
 * Memory   fields point into the line, which is cut into strings. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Cuts a line at blanks into at most `max` fields. Returns how many there are. */
unsigned fields_split(char *line, char **fields, unsigned max);

/* The whole field as a number. False, with *ret untouched, when it is not one. */
bool field_number(const char *field, int base, uint64_t *ret);

/* The n-th number of a file's first line, counted from 0; `otherwise` when there is none. */
uint64_t fields_read_number(const char *path, unsigned n, uint64_t otherwise);
