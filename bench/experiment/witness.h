/* witness: clients that stay connected and are served at a steady rate while others trouble the
 * server: what they notice is what the trouble costs.
 *
 * Idea     A load generator that opens 100,000 connections is late with everything else that it
 *          does, and what it measured then would be its own delay. The witness is a second load on
 *          a thread of its own, which the scheduler lets in whenever something has come for it.
 * Threads  witness_start makes one; all functions here are called from the same other thread.
 * Memory   witness_start to witness_stop. Histograms given to witness_into are the caller's, who
 *          may read them after another witness_into or witness_stop.
 * Errors   0 or negative errno. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "core/histogram.h"
#include "load/load.h"

struct witness;

struct witness_config {
    struct sockaddr_in target;
    const struct tls_client *tls; /* NULL: plain */
    const struct protocol *transport;
    const char *channel; /* of its own */
    uint32_t clients;
    uint32_t message_bytes;
    double rate_per_s;
};

/* What it saw until it was stopped. */
struct witness_report {
    struct load_ledger ledger;
    uint64_t closes; /* connections that the server ended */
    uint64_t published;
    int err; /* it ended early for this; 0: it did not */
};

/* Connects them all and begins to publish. Returns 0, or negative errno with a sentence. */
int witness_start(struct witness **ret, const struct witness_config *config, char *why,
                  size_t why_size);

/* From now on latencies (from when a message was due) are recorded here too; NULL: nowhere. */
void witness_into(struct witness *witness, struct histogram *into);

/* The latencies since it was asked last; false when nothing was delivered since. */
bool witness_lately(struct witness *witness, uint64_t *ret_p50_ns, uint64_t *ret_p99_ns);

/* Stops publishing, waits until all has arrived, and ends it. */
void witness_stop(struct witness *witness, struct witness_report *ret);
