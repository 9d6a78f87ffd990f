/* machine: the box that a run was measured on, as docs/RESULTS.md wants it.
 *
 * Threads  one.
 * Memory   the caller owns the object. */
#pragma once

#include <jansson.h>

/* `server_cpus` and `client_cpus` are lists as in taskset. */
json_t *machine_read(const char *server_cpus, const char *client_cpus);
