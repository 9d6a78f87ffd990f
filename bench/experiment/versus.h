/* versus: what `compare` does when it is given peers: Ringside, other servers and a bare loop, each
 * with its subscribers connected at once and the clock in turns.
 *
 * Idea     A peer is one more contestant of the field, on WebSocket or on an event stream. The
 *          ratio to Ringside is taken within each round, as that to the bare loop is.
 * Threads  one.
 * Memory   peers stay until the load is gone.
 * Bounds   OPTIONS_PEERS_MAX peers, and one by URLs. */
#pragma once

#include "experiment/bench.h"

/* Whether there is a peer on the command line. */
bool versus_wanted(const struct options *options);

/* Other defaults than those of four transports, where nothing was given. */
void versus_settle(struct options *options);

int versus_run(struct bench *bench);
