/* slow_verdict: what a run of slow-readers says: verdicts and headline.
 *
 * Threads  one.
 * Memory   none. */
#pragma once

#include "experiment/bench.h"

enum {
    SLOW_POLICIES = 3,
    SLOW_DISCONNECT = 0,
};

/* Of slow_reader. Each is, in each way (way_workload), the workload of a contestant "others" with a
 * stall, and of one more "…, without". */
extern const char *const slow_policies[SLOW_POLICIES];

void slow_judge(struct bench *bench);
