/* knee_steps: how far a contestant goes before its latency leaves a bound, with every step that was
 * tried.
 *
 * Threads  one.
 * Memory   knee_create to knee_free; steps grow. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"

/* One turn of an open loop. */
struct knee_step {
    double value; /* messages per second, or subscribers */
    bool held;
    bool repeat; /* at the knee, to confirm it */
    double deliveries_per_s;
    uint64_t p50_ns, p99_ns; /* corrected: from the time at which a message was due */
    uint64_t p99_uncorrected_ns;
    uint64_t missing;    /* deliveries that did not come in time */
    double server_share; /* of its CPUs; negative: unknown */
    double client_share;
    bool client_bound; /* the client asked for all of its CPU, and the server did not */
};

struct knee {
    bool of_subscribers; /* else of the rate */
    double rate_per_s;   /* of_subscribers: what was published all the time */
    int64_t bound_ns;    /* for the corrected p99 */

    double value;        /* the highest that was confirmed; 0: none */
    double failed;       /* the lowest that did not hold; 0: none was found */
    bool client_limited; /* there the client was saturated, and the server was not */
    double closed_rate;  /* messages per second of a closed loop at depth 1, and its p99 */
    uint64_t closed_p99_ns;

    uint64_t closed; /* connections that steps which did not hold have cost; opened again */

    struct knee_step *steps;
    unsigned step_count;
};

struct knee *knee_create(bool of_subscribers, double rate_per_s, int64_t bound_ns);

/* Accepts NULL. */
void knee_free(struct knee *knee);

void knee_add(struct knee *knee, const struct knee_step *step);

/* The object of docs/RESULTS.md; a new reference. */
json_t *knee_json(const struct knee *knee);
