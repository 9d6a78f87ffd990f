/* caller: one blocking connection to a server, plain or over TLS, for what a load has no clients
 * for.
 *
 * Threads  any; a caller belongs to one at a time, its handshakes too.
 * Memory   in place; caller_hang_up ends it and wipes its keys.
 * Bounds   CALLER_PATIENCE_S for each read and write, unless the caller says another time.
 * Errors   0 or negative errno. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "tls/handshake.h"

enum {
    CALLER_PATIENCE_S = 5,
};

/* How to speak TLS; NULL in its place: plain. `handshakes` has room for one. */
struct caller_tls {
    const struct tls_client *client;
    struct tls_handshakes *handshakes;
};

struct caller {
    int fd; /* -1: not connected. It ends by a reset, so that nothing stays in TIME_WAIT */
    bool secure;
    struct tls_keys keys; /* when secure */
};

/* Connects, and takes the handshake to its end. */
int caller_connect(struct caller *caller, const struct sockaddr_in *address,
                   const struct caller_tls *tls, int patience_s);
void caller_hang_up(struct caller *caller);

/* Sends bytes in whole; over TLS `say` takes one small record. */
int caller_say(struct caller *caller, const void *bytes, size_t len);

/* Reads until the end of an answer's head. Returns its HTTP status. */
int caller_answered(struct caller *caller);
