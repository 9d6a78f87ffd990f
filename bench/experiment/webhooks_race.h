/* webhooks_race: the row of webhooks in compare: each event to all endpoints, as a message is to
 * all subscribers, in the same workloads, with a server of its own behind the race.
 *
 * Threads  one.
 * Bounds   WEBHOOKS_RACE_ENDPOINTS_MAX. */
#pragma once

#include "experiment/field.h"

enum {
    WEBHOOKS_RACE_ENDPOINTS = 100,
    WEBHOOKS_RACE_ENDPOINTS_MAX = 1000,
};

/* Runs as many turns as two, or the options, have, or notes why there is no row. Returns 0 or
 * negative errno, after a sentence. */
int webhooks_race(struct bench *bench, const struct workload *workloads, unsigned count);
