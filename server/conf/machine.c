#include "conf/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

enum {
    PATH_SIZE = 4096,
    LINE_SIZE = 4096 + 256, /* of /proc/self/cgroup: a path, and the names of controllers */
};

/* A limit of one group, or UINT64_MAX. `folder` is the group's. */
typedef uint64_t (*limit_read)(const char *folder);

/* The first line of a file of the group's. */
static bool first_line(const char *folder, const char *name, char *line, int size)
{
    char path[2 * PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, size, file) != NULL;
    fclose(file);
    return got;
}

/* The number at `*at`, which goes on behind it, or -1: "max", or none. */
static int64_t number(const char **at)
{
    char *end;
    errno = 0;
    int64_t value = strtoll(*at, &end, 10);
    if (end == *at || errno != 0)
        return -1;
    *at = end;
    return value;
}

static int64_t number_of(const char *folder, const char *name)
{
    char line[64];
    const char *at = line;
    return first_line(folder, name, line, sizeof line) ? number(&at) : -1;
}

static uint64_t bytes_of(const char *folder, const char *name)
{
    int64_t bytes = number_of(folder, name);
    return bytes < 0 ? UINT64_MAX : (uint64_t)bytes;
}

static uint64_t memory_v2(const char *folder)
{
    return bytes_of(folder, "memory.max");
}

static uint64_t memory_v1(const char *folder)
{
    return bytes_of(folder, "memory.limit_in_bytes");
}

static uint64_t cores(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 ? (uint64_t)((quota + period - 1) / period) : UINT64_MAX;
}

static uint64_t cpus_v2(const char *folder)
{
    char line[64];
    const char *at = line;
    if (!first_line(folder, "cpu.max", line, sizeof line))
        return UINT64_MAX;
    int64_t quota = number(&at);
    return cores(quota, number(&at));
}

static uint64_t cpus_v1(const char *folder)
{
    return cores(number_of(folder, "cpu.cfs_quota_us"), number_of(folder, "cpu.cfs_period_us"));
}

/* The smallest limit of the group at `path` below `tree`, and of those above it. */
static uint64_t smallest(const char *tree, const char *path, limit_read limit)
{
    char folder[PATH_SIZE];
    int len = snprintf(folder, sizeof folder, "%s%s", tree, path);
    if (len >= (int)sizeof folder)
        return UINT64_MAX;
    uint64_t least = UINT64_MAX;
    for (size_t root = strlen(tree);;) {
        uint64_t bound = limit(folder);
        least = bound < least ? bound : least;
        char *slash = strrchr(folder + root, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* True when `name` is one of a list with commas. */
static bool lists(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(names, name); at; at = strstr(at + 1, name))
        if ((at == names || at[-1] == ',') && (at[len] == '\0' || at[len] == ','))
            return true;
    return false;
}

/* Of this process's group in version 2, and in version 1's tree of `controller`. */
static uint64_t group_limit(const char *root, const char *controller, limit_read v2, limit_read v1)
{
    char name[PATH_SIZE], line[LINE_SIZE], tree[PATH_SIZE];
    uint64_t least = UINT64_MAX;
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    FILE *file = fopen(name, "re");
    if (!file)
        return least;
    /* Each line is NUMBER:CONTROLLERS:PATH; version 2 has number 0 and no controllers. */
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        bool second = *controllers == '\0';
        if (!second && !lists(controllers, controller))
            continue;
        int len = snprintf(tree, sizeof tree, "%s/sys/fs/cgroup%s%s", root, second ? "" : "/",
                           controllers);
        uint64_t bound =
            len < (int)sizeof tree ? smallest(tree, path, second ? v2 : v1) : UINT64_MAX;
        least = bound < least ? bound : least;
    }
    fclose(file);
    return least;
}

uint64_t machine_group_memory(const char *root)
{
    return group_limit(root, "memory", memory_v2, memory_v1);
}

uint32_t machine_group_cpus(const char *root)
{
    uint64_t cpus = group_limit(root, "cpu", cpus_v2, cpus_v1);
    return cpus < UINT32_MAX ? (uint32_t)cpus : UINT32_MAX;
}

static uint64_t whole_memory(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

uint64_t machine_memory(const char *root)
{
    uint64_t all = whole_memory();
    uint64_t group = machine_group_memory(root);
    return group < all || (all == 0 && group != UINT64_MAX) ? group : all;
}

void machine_announce(void)
{
    uint64_t memory = machine_group_memory("");
    uint32_t cpus = machine_group_cpus("");
    if (memory < whole_memory())
        printf("the control group leaves %" PRIu64 " MiB of memory, the kernel's for sockets "
               "included: max_connections is sized by that\n",
               memory >> 20);
    if (cpus < (uint32_t)get_nprocs())
        printf("the control group leaves the time of %" PRIu32 " core%s: shards is sized by "
               "that\n",
               cpus, cpus == 1 ? "" : "s");
}
