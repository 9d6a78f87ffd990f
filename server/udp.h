/* udp: a UDP port that all shards have, a socket each.
 *
 * Idea     The kernel gives a datagram to the socket that its bytes name: a program of the port's
 *          reads the number, and it is the shard's, since sockets count in the order in which they
 *          were bound. None may be closed while others serve: the last would take its number.
 * Threads  main's, before the shards start. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "listener.h"

/* Opens `count` sockets on the address, for QUIC: by the first byte of the connection ID that a
 * packet is for (RFC 9000 section 17). Returns 0 and the descriptors, or negative errno with `why`,
 * and none is open. */
int udp_open_quic(int *ret, unsigned count, const struct listen_address *address, char *why,
                  size_t why_size);

/* Opens `count` sockets for all addresses of this machine, on ports that follow each other, or,
 * from port 0, on any that are free; and says which. Likewise. */
int udp_open_rtc(int *ret, uint16_t *ret_ports, unsigned count, uint16_t port, char *why,
                 size_t why_size);
