/* programs: what reads runs, or makes several: bench/report, in Python, under names of the bench.
 *
 * Idea     `ringside-bench diff A B` becomes diff.py of bench/report, with the same arguments.
 * Threads  one, before anything else runs: the process is replaced.
 * Memory   none.
 * Errors   negative errno, after a sentence on standard error. */
#pragma once

#include <stdio.h>

/* Names and what each is for, as lines of a help text. */
void programs_list(FILE *file);

/* Becomes the program that argv[1] names. Returns 0 when it names none, or negative errno when it
 * could not be started. */
int programs_become(char **argv);
