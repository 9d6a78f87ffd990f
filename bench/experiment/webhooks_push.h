/* webhooks_push: turns of the push path beside a courier at rest, and at full load.
 *
 * Threads  one, and a process for the receivers while it runs. */
#pragma once

#include "experiment/bench.h"
#include "experiment/webhooks_loop.h"

enum {
    WEBHOOKS_PUSH_CHANNELS = 16, /* of events: each is for one in so many of the endpoints */
};

/* As many as asked for, and as many of each channel. */
uint32_t webhooks_push_endpoints(const struct options *options);

/* `set` has WEBHOOKS_PUSH_CHANNELS endpoints, each of which stands for those of the server that
 * want that channel. The server's shards are on its CPUs, and all else of it on the clients'.
 * Returns 0 or negative errno, after a sentence. */
int webhooks_push(struct bench *bench, struct webhooks_loop *loop, struct webhooks_set *set,
                  struct server *server);
