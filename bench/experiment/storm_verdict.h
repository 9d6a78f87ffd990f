/* storm_verdict: what is said of storms: their names and verdicts.
 *
 * Threads  one. */
#pragma once

#include "experiment/bench.h"

enum storm_variant {
    STORM_ADMISSION,
    STORM_JITTER,
    STORM_AT_ONCE,
    STORM_VARIANTS,
};

/* The workload of a storm: "admission", "admission, aes128-gcm". */
void storm_name(char ret[RESULT_NAME_MAX], enum storm_variant variant, const struct way *way);

/* The verdicts, for each way. */
void storm_judge(struct bench *bench);
