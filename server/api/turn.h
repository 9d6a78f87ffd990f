/* turn: credentials for a TURN server (coturn with use-auth-secret), good for a while.
 *
 *   username  <seconds since 1970 when it ends>:<user>
 *   password  base64(HMAC-SHA1(secret, username))
 *
 * Idea     The two servers share a secret and nothing else: whoever has a token here gets a name
 *          that the other one can verify by itself. For pages that talk to each other, and have a
 *          network between them that lets nothing else through.
 * Threads  Made once, then read by all.
 * Bounds   A user's name of TURN_USER_MAX bytes. */
#pragma once

#include "http/exchange.h"

enum {
    TURN_USER_MAX = 256,
};

/* Returns 0, with NULL where the settings have no turn_uris, or negative errno and a sentence. */
int turn_create(struct turn **ret, const struct settings *settings, char *why, size_t why_size);
/* Accepts NULL. */
void turn_free(struct turn *turn);

/* GET /turn */
void turn_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
