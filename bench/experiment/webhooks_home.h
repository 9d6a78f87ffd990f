/* webhooks_home: servers that post to endpoints of a webhooks_loop, and where their files are.
 *
 * Idea     Each endpoint is a host of its own, as those of others are: an address of 127.0.0.0/8.
 * Threads  one.
 * Memory   in place; files are in a folder below /var/tmp until webhooks_home_remove.
 * Bounds   WEBHOOKS_SERVERS_MAX.
 * Errors   negative errno, after a sentence on standard error. */
#pragma once

#include "experiment/bench.h"
#include "experiment/webhooks_loop.h"

enum {
    WEBHOOKS_SERVERS_MAX = 4,
};

/* All zero: there is none. */
struct webhooks_home {
    char folder[32]; /* each server's queue, the key, the endpoints of each */
    char key[33];    /* of the API */
};

int webhooks_home_make(struct webhooks_home *home);
void webhooks_home_remove(const struct webhooks_home *home);

/* Starts a server with so many endpoints, all at `loop`, with the paths of set `number`. Endpoint i
 * wants channel i modulo `channels`. */
int webhooks_home_serve(const struct webhooks_home *home, struct bench *bench, unsigned number,
                        const struct webhooks_loop *loop, uint32_t endpoints, uint32_t channels,
                        struct server **ret);
