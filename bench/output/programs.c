#include "output/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "output/places.h"

static const struct {
    const char *name;
    const char *summary;
    const char *script; /* gets the name as its first argument; NULL: it is that of the name */
} programs[] = {
    {"claims", "Tests what is claimed of realtime transports on this machine.", "session"},
    {"scenario", "FILE: runs one scenario, perhaps your own, and shows its run.", "session"},
    {"diff", "A B: two runs side by side: what changed, and what is only noise.", NULL},
    {"report", "RUN: writes its report.html again.", NULL},
    {"export", "RUN --csv | --openmetrics | --histogram: its figures for others.", NULL},
    {"record", "RUN: keeps it in results/, among those that documents cite.", NULL},
    {"index", "Writes results/index.html, over all recorded runs.", NULL},
};
#define PROGRAM_COUNT (sizeof programs / sizeof programs[0])

void programs_list(FILE *file)
{
    for (size_t i = 0; i < PROGRAM_COUNT; i++)
        fprintf(file, "  %-10s %s\n", programs[i].name, programs[i].summary);
}

/* The interpreter comes before the script, so its argument list is made anew. The script finds this
 * program in its environment. */
static int become(const char *script, char **arguments)
{
    char path[PLACES_PATH_MAX], self[PLACES_PATH_MAX], name[64];
    size_t count = 0;
    while (arguments[count])
        count++;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    const char **argv = calloc(count + 3, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    setenv("RINGSIDE_BENCH", self, 1);
    snprintf(name, sizeof name, "report/%s.py", script);
    argv[0] = BENCH_PYTHON;
    argv[1] = places_path(name, path);
    memcpy(argv + 2, arguments, count * sizeof *argv);
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
            return programs[i].script ? become(programs[i].script, argv + 1)
                                      : become(programs[i].name, argv + 2);
    return 0;
}
