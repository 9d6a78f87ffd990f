/* cpus: lists of cores as the kernel's tools write them: 0,2-5.
 *
 * Threads  main's. */
#pragma once

#include <stddef.h>

enum {
    CPUS_MAX = 1024,
};

/* Fills `cpus` with the cores of a list, or, when it is empty, with those this process may use, in
 * order. Returns how many, or -EINVAL with `why`. */
int cpus_read(int cpus[CPUS_MAX], const char *list, char *why, size_t why_size);
