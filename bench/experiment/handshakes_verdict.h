/* handshakes_verdict: the verdicts of `handshakes`.
 *
 * Threads  one. */
#pragma once

#include "experiment/bench.h"

/* The name of our own server among the contestants. */
#define HANDSHAKES_OURS "ringside"

/* What a visit has; all have TCP, a request and its answer. */
enum handshake {
    HANDSHAKE_PLAIN, /* no TLS */
    HANDSHAKE_P256,  /* in full, with this key exchange */
    HANDSHAKE_X25519,
    HANDSHAKE_RESUMED,
    HANDSHAKE_COUNT,
};

/* A contestant whose turns are of visits. */
struct visited {
    enum handshake kind;
    struct contestant *contestant;
    const struct contestant *plain; /* the same server without TLS; NULL: this is it */
    const struct contestant *ours;  /* of a peer: our server in the same workload; else NULL */
};

/* "plain", "full P-256", "full X25519", "resumed". */
const char *handshake_name(enum handshake handshake);

/* Gives them their figures, says which server needs less CPU for a handshake, and makes the
 * headline. */
void handshakes_judge(struct result *result, const struct visited *visited, unsigned count);
