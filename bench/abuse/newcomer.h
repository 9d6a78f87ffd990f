/* newcomer: a well-behaved client that comes now while an attack goes on: connects, over TLS where
 * that is what is attacked, asks once, leaves, and comes again ten times a second.
 *
 * Threads  newcomer_start makes one; both functions are called from the same other thread.
 * Memory   newcomer_start to newcomer_stop.
 * Bounds   three seconds of patience for each step: newcomer_stop may take as long. */
#pragma once

#include <stdbool.h>

#include "abuse/attacker.h"

struct newcomer;

struct newcomer_seen {
    uint64_t tries, served; /* answered, and not by 503 */
    int64_t slowest_ns;     /* from connect to the answer, of those served */
};

struct newcomer *newcomer_start(const struct attack_target *target, bool tls);
void newcomer_stop(struct newcomer *newcomer, struct newcomer_seen *ret);
