/* sources: which address and port each connection comes from.
 *
 * The kernel's own choice of ports becomes ten times slower once half the range is used, so every
 * connect names its source. All ports of an address are used before the next address, and a pair
 * does not come again before all others have.
 *
 * Threads  the owner's.
 * Bounds   address_count times the ports of the range. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "load/load.h"

struct sources {
    uint32_t first_address; /* host order */
    uint32_t address_count;
    uint16_t port_first;
    uint32_t port_count;
    uint16_t skipped[3 * LOAD_GROUPS_MAX]; /* host order: ports that somebody listens on */
    unsigned skipped_count;
    uint64_t next;
};

/* Returns 0, or -EINVAL when the range holds no pair. `start` is where in the range of addresses to
 * begin: runs that follow each other closely should not begin at the same one. */
int sources_init(struct sources *sources, const struct load_config *config, uint32_t start);

struct sockaddr_in sources_next(struct sources *sources);

/* How many pairs there are. */
uint64_t sources_count(const struct sources *sources);
