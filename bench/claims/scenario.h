/* scenario: one file of bench/scenarios/: which experiment is run with which options, and what is
 * claimed of its figures.
 *
 *     [scenario]      title, about, experiment, seconds
 *     [options]       options of the experiment, as on its command line
 *     [stream NAME]   of `mix`: one --stream, its parts one to a line
 *     [claim NAME]    claim, source, value, measured, holds, depends
 *
 * Idea     A file is data. Whatever computes in it is a jq program over the run.json that the
 *          experiment leaves (judge.h). bench/scenarios/README.md is the manual.
 * Threads  one.
 * Memory   on the heap, from scenario_read to scenario_free.
 * Bounds   SCENARIO_OPTIONS_MAX, SCENARIO_CLAIMS_MAX, SCENARIO_TEXT_MAX for each text.
 * Errors   -ENOENT and others when the file cannot be read, -EINVAL when it is wrong; `why` then
 *          says what, with the line where there is one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCENARIO_NAME_MAX = 40,
    SCENARIO_TEXT_MAX = 2048,
    SCENARIO_OPTION_MAX = 512,
    SCENARIO_OPTIONS_MAX = 32,
    SCENARIO_CLAIMS_MAX = 12,
    SCENARIO_SECONDS_MAX = 3600,
    SCENARIO_PATH_MAX = 1024,
    SCENARIO_WHY_MAX = 512,
};

struct scenario_claim {
    char name[SCENARIO_NAME_MAX];
    char claim[SCENARIO_TEXT_MAX];    /* the sentence */
    char source[SCENARIO_TEXT_MAX];   /* who says so */
    char value[SCENARIO_TEXT_MAX];    /* jq: the figure of the run */
    char measured[SCENARIO_TEXT_MAX]; /* jq: the same in words */
    char holds[SCENARIO_TEXT_MAX];    /* jq: whether the figure bears the claim out */
    char depends[SCENARIO_TEXT_MAX]; /* jq: where it does not, whether it may elsewhere; or empty */
};

struct scenario {
    char path[SCENARIO_PATH_MAX];
    char name[SCENARIO_NAME_MAX]; /* of the file */
    char title[SCENARIO_TEXT_MAX];
    char about[SCENARIO_TEXT_MAX];
    char experiment[SCENARIO_NAME_MAX];
    uint32_t seconds; /* that its run may take */
    /* Arguments of the experiment: "--subscribers=20". */
    char options[SCENARIO_OPTIONS_MAX][SCENARIO_OPTION_MAX];
    unsigned option_count;
    struct scenario_claim claims[SCENARIO_CLAIMS_MAX];
    unsigned claim_count;
};

/* Reads and checks a file. `fits` is how many connections this machine holds: what a share in an
 * option is taken of. */
int scenario_read(struct scenario **ret, const char *path, uint64_t fits, char *why,
                  size_t why_size);

void scenario_free(struct scenario *scenario);
