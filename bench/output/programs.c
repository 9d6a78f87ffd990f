#include "output/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

enum {
    PATH_SIZE = 1024,
};

static const struct {
    const char *name;
    const char *summary;
} programs[] = {
    {"diff", "A B: two runs side by side: what changed, and what is only noise."},
    {"report", "RUN: writes its report.html again."},
    {"export", "RUN --csv | --openmetrics | --histogram: its figures for others."},
    {"record", "RUN: keeps it in results/, among those that documents cite."},
    {"index", "Writes results/index.html, over all recorded runs."},
};
#define PROGRAM_COUNT (sizeof programs / sizeof programs[0])

void programs_list(FILE *file)
{
    for (size_t i = 0; i < PROGRAM_COUNT; i++)
        fprintf(file, "  %-10s %s\n", programs[i].name, programs[i].summary);
}

/* The interpreter has options of its own before the script, so its argument list is made anew. */
static int become(const char *name, char **arguments)
{
    char path[PATH_SIZE];
    size_t count = 0;
    while (arguments[count])
        count++;
    const char **argv = calloc(count + 4, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    snprintf(path, sizeof path, "%s/%s.py", BENCH_REPORTS, name);
    argv[0] = BENCH_PYTHON;
    argv[1] = "-B";
    argv[2] = path;
    memcpy(argv + 3, arguments, count * sizeof *argv);
    execv(BENCH_PYTHON, (char *const *)argv);
    int err = -errno;
    fprintf(stderr, "ringside-bench: cannot run %s %s: %s\n", BENCH_PYTHON, path, strerror(-err));
    free(argv);
    return err;
}

int programs_become(char **argv)
{
    for (size_t i = 0; argv[1] && i < PROGRAM_COUNT; i++)
        if (strcmp(argv[1], programs[i].name) == 0)
            return become(programs[i].name, argv + 2);
    return 0;
}
