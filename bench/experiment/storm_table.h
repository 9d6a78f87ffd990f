/* storm_table: what is said of storms: their names, verdicts, and the table.
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

enum {
    STORM_WAYS_MAX = 1 + TLS_CIPHER_COUNT,
};

/* Plain, and with --tls each cipher; transports are not told apart. Returns how many. */
unsigned storm_ways(const struct options *options, struct way ret[STORM_WAYS_MAX]);

/* The workload of a storm: "admission", "admission, aes128-gcm". */
void storm_name(char ret[RESULT_NAME_MAX], enum storm_variant variant, const struct way *way);

/* The verdicts, for each way. */
void storm_judge(struct bench *bench);

void storm_print(const struct bench *bench);
