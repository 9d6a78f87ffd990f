#include "conf/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static int allowed(int cpus[CPUS_MAX])
{
    cpu_set_t set;
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++)
        if (CPU_ISSET((unsigned)cpu, &set))
            cpus[count++] = cpu;
    return count;
}

/* One number or range at the front of `list`. Returns what follows, or NULL. */
static const char *range_read(const char *list, long *first, long *last)
{
    char *end;
    *first = *last = strtol(list, &end, 10);
    if (end == list)
        return NULL;
    if (*end == '-') {
        list = end + 1;
        *last = strtol(list, &end, 10);
        if (end == list)
            return NULL;
    }
    if (*first < 0 || *last < *first || *last >= CPUS_MAX || (*end != '\0' && *end != ','))
        return NULL;
    return end;
}

int cpus_read(int cpus[CPUS_MAX], const char *list, char *why, size_t why_size)
{
    if (list[0] == '\0')
        return allowed(cpus);
    int count = 0;
    for (const char *at = list; *at;) {
        long first, last;
        at = range_read(at, &first, &last);
        if (!at || count + (last - first) >= CPUS_MAX) {
            snprintf(why, why_size, "cpus = %s: needs cores as 0,2-5", list);
            return -EINVAL;
        }
        for (long cpu = first; cpu <= last; cpu++)
            cpus[count++] = (int)cpu;
        at += *at == ',';
    }
    return count;
}
