/* ringside-sim: runs the simulation for one seed or for many. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

static const char usage[] =
    "usage: ringside-sim [--seed N] [--count N] [--verbose]\n"
    "Simulates whole servers in memory, one per seed, each twice: both must go the same way.\n"
    "A breach of what the server promises ends it and names the seed.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {0},
    };
    uint64_t seed = 1, count = 1;
    bool verbose = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'c':
            count = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            verbose = true;
            break;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        printf("seed %" PRIu64, seed + i); /* stands there also if an assertion fails */
        fflush(stdout);
        uint64_t trace = sim_run(seed + i, verbose);
        printf(" trace %016" PRIx64 "\n", trace);
        if (sim_run(seed + i, false) != trace) {
            fprintf(stderr, "seed %" PRIu64 " went another way the second time\n", seed + i);
            return 1;
        }
    }
    return 0;
}
