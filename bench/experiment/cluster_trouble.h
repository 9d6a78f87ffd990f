/* cluster_trouble: what clients of a cluster notice when a part of it goes away and comes back.
 *
 * Threads  one.
 * Memory   in place. */
#pragma once

#include "experiment/cluster_clients.h"

/* The steps that the options ask for, one after the other, each a contestant of the result. Returns
 * 0 or negative errno, after a sentence. */
int trouble_run(struct clients *clients);
