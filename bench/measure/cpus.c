#include "measure/cpus.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool parse_number(const char **text, unsigned long *ret)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return false;
    *ret = strtoul(*text, &end, 10);
    *text = end;
    return *ret < CPU_SETSIZE;
}

int cpus_parse(cpu_set_t *ret, const char *text)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    do {
        unsigned long first, last;
        if (!parse_number(&text, &first))
            return -EINVAL;
        last = first;
        if (*text == '-') {
            text++;
            if (!parse_number(&text, &last) || last < first)
                return -EINVAL;
        }
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, &set);
    } while (*text++ == ',');
    if (text[-1] != '\0')
        return -EINVAL;
    *ret = set;
    return 0;
}

bool cpus_allowed(const cpu_set_t *set)
{
    cpu_set_t allowed, both;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return false;
    CPU_AND(&both, set, &allowed);
    return CPU_EQUAL(&both, set);
}

void cpus_default(char *ret_server, char *ret_client)
{
    cpu_set_t allowed;
    int cpus[2] = {0, 0};
    int found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
            if (CPU_ISSET(cpu, &allowed))
                cpus[found++] = cpu;
    snprintf(ret_server, CPUS_TEXT_MAX, "%d", cpus[0]);
    snprintf(ret_client, CPUS_TEXT_MAX, "%d", found > 1 ? cpus[1] : cpus[0]);
}
