/* handshakes_verdict: the verdicts of `handshakes`.
 *
 * Threads  one. */
#pragma once

#include "experiment/bench.h"

/* The name of our own server among the contestants. */
#define HANDSHAKES_OURS "ringside"

/* Says which server needs less CPU for a handshake, and makes the headline. */
void handshakes_judge(struct result *result);
