/* ring_peers: from where the sockets of a ring were accepted, by slot. For engines only.
 *
 * Threads  The ring's own.
 * Memory   16 bytes for each slot, reserved for the whole capacity and touched as slots come into
 *          use; nothing without ring_config.peers.
 * Bounds   The ring's capacity. */
#pragma once

#include "core/ring.h"

/* Returns 0 or -ENOMEM. */
int ring_peers_init(struct ring *ring);

/* Also of a ring that has none. */
void ring_peers_done(struct ring *ring);

/* Keeps the address of an IPv4 or IPv6 socket; any other is unspecified. */
void ring_peers_set(struct ring *ring, uint32_t slot, const struct sockaddr_in6 *address);
