/* udp: a UDP port that all shards have, a socket each.
 *
 * Idea     The kernel gives a datagram to the socket that its bytes name: a program of the port's
 *          reads the number, and it is the shard's, since sockets count in the order in which they
 *          were bound. When one is closed, the last takes its number.
 * Threads  main's, before the shards start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "listener.h"

/* Opens `count` sockets on the address, for QUIC. `joins`: behind those of a predecessor, which are
 * as many; else nobody may have the port. Returns 0 and the descriptors, or negative errno with
 * `why`, and none is open. */
int udp_open_quic(int *ret, unsigned count, const struct listen_address *address, bool joins,
                  char *why, size_t why_size);

/* The first `count` sockets of the port, of which `fd` is one, get what there is: each the packets
 * for a connection ID (RFC 9000 section 17) whose first byte is its number, modulo `count`. One
 * that is too short is for the first. Returns 0 or negative errno: a sandbox may refuse it, and
 * then shards hand on by lane what they are not meant to have got. */
int udp_route(int fd, unsigned count);

/* The same among the first `count` for what names a connection with this tag, and among the next
 * `count` for all else. */
int udp_route_apart(int fd, unsigned count, uint16_t tag);

/* Opens `count` sockets for all addresses of this machine, on ports that follow each other, or,
 * from port 0, on any that are free; and says which. `joins`: where a predecessor has those, on the
 * `count` behind them. Likewise. */
int udp_open_rtc(int *ret, uint16_t *ret_ports, unsigned count, uint16_t port, bool joins,
                 char *why, size_t why_size);
