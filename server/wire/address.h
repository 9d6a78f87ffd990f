/* address: IP addresses as text, as one key for each that limits count, and as ranges.
 *
 *   192.0.2.7 ─► ::ffff:192.0.2.7          an IPv4 address is its mapped IPv6 address everywhere,
 *   2001:db8::7 ─► 2001:db8::7             as on a socket that takes both
 *
 *   key   IPv4: the address; IPv6: the /64, which is what a network gives to one household
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/span.h"

/* Addresses whose first `bits` are those of `address`. */
struct address_range {
    struct in6_addr address;
    uint8_t bits; /* 0 to 128; those of an IPv4 range and 96 */
};

/* Reads dotted IPv4 without leading zeros, or IPv6 without brackets and zone. Returns false, and
 * leaves `ret` alone, when it is neither. */
bool address_read(struct in6_addr *ret, struct span text);

/* Reads a port of 0 to 65535 without leading zeros. */
bool address_port(struct span text);

/* Reads an address, or a range such as 10.0.0.0/8 or 2001:db8::/32, whose other bits must be 0. */
bool address_range_read(struct address_range *ret, struct span text);

bool address_in_range(const struct in6_addr *address, const struct address_range *range);

/* Of a socket: AF_INET or AF_INET6, anything else is the unspecified address. */
struct in6_addr address_of(const struct sockaddr *socket);

/* What limits count under: never 0. */
uint64_t address_key(const struct in6_addr *address);
