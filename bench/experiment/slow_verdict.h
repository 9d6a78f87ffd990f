/* slow_verdict: what a run of slow-readers says: verdicts and headline.
 *
 * Threads  one.
 * Memory   none. */
#pragma once

#include "experiment/bench.h"
#include "experiment/stall.h"

enum {
    SLOW_POLICIES = 3,
    SLOW_DISCONNECT = 0,
};

/* Of slow_reader. Each is, in each way (way_workload), the workload of a contestant "others" with a
 * stall, and of one more "…, without". */
extern const char *const slow_policies[SLOW_POLICIES];

/* `stalls` by way and policy, in the order of ways_of_any. */
void slow_judge(struct bench *bench, const struct stall stalls[][SLOW_POLICIES]);
