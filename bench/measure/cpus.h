/* cpus: lists of CPUs as taskset writes them, "0,2-5".
 *
 * Threads  any. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* Returns 0, or -EINVAL when the text is not a list of CPUs. */
int cpus_parse(cpu_set_t *ret, const char *text);

/* Whether the calling thread may run on all of them; ask before it is pinned. */
bool cpus_allowed(const cpu_set_t *set);

/* What there is to share when nobody said: the first CPU for the servers, the others for the bench;
 * the only one for both when there is no other. Both are at least CPUS_TEXT_MAX bytes. */
#define CPUS_TEXT_MAX 256
void cpus_default(char *ret_server, char *ret_client);
