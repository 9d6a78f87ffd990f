/* tls_verdict: contestants over TLS beside the same without, for every experiment that has both.
 *
 * Threads  one.
 * Memory   none of its own. */
#pragma once

#include "output/result.h"

/* Verdicts on what TLS may cost a fan-out: at depth 1 and 8 the rate is at least 0.6 and 0.5 of
 * plain. Where the client was the bottleneck, only a rate that is high enough all the same decides.
 */
void tls_judge_fanout(struct result *result);

/* A verdict on the user memory of a parked WebSocket: at most 800 bytes with AES-GCM, 320 with
 * ChaCha20-Poly1305. */
void tls_judge_memory(struct result *result, const struct contestant *contestant);
