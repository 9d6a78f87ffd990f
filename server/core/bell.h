/* bell: ends the wait of a thread that waits by poll, and not in a ring.
 *
 * Threads  bell_ring on any; the rest on the thread that is rung for.
 * Memory   An eventfd.
 * Bounds   Rung twice before it is heard is heard once. */
#pragma once

#include <stdint.h>

struct bell {
    int fd;
};

/* Returns 0 or what eventfd failed of: -EMFILE, -ENFILE, -ENOMEM. */
int bell_init(struct bell *bell);
void bell_done(struct bell *bell);

void bell_ring(const struct bell *bell);

/* Waits until it rings, for so long at most; a negative time is for ever. Then it is silent. */
void bell_wait(const struct bell *bell, int64_t timeout_ns);
