/* machine: of the box that a run is measured on, what only the bench knows, or what has to be read
 * before the run; the rest is read after it, by bench/report/machine.py.
 *
 * Threads  one.
 * Memory   the caller owns the object. */
#pragma once

#include <jansson.h>

/* `server_cpus` and `client_cpus` are lists as in taskset. */
json_t *machine_read(const char *server_cpus, const char *client_cpus);
