/* reach: where the courier may go. It posts to addresses that others have named, from inside.
 *
 *   name ─► resolver ─► address ─► reach_allows, at each connect ─► socket
 *
 * Idea     Only what is reachable by everybody: private, loopback, link-local and other addresses
 *          of special purpose (RFC 6890) are refused unless courier_private names them. An address
 *          is looked at when a socket is made for it, so a name that resolves differently the
 *          second time gains nothing.
 * Threads  reach_read before the courier starts, then read-only.
 * Memory   The caller's.
 * Bounds   REACH_RANGES_MAX, REACH_NAMES_MAX, REACH_PORTS_MAX; looked through one by one.
 * Errors   -EINVAL with a sentence in `why`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/address.h"

enum {
    REACH_RANGES_MAX = 64,
    REACH_NAMES_MAX = 64,
    REACH_PORTS_MAX = 32,
    REACH_NAME_MAX = 253,
};

struct reach_ports {
    uint16_t first, last;
};

struct reach {
    struct address_range ranges[REACH_RANGES_MAX]; /* private ones that are allowed */
    struct reach_ports ports[REACH_PORTS_MAX];
    char names[REACH_NAMES_MAX][REACH_NAME_MAX + 1]; /* hosts that may have any address */
    unsigned range_count, port_count, name_count;
    bool plain; /* http:// also beyond what is allowed as private */
};

/* `hosts` is a list of addresses, ranges and names, `ports` one of ports and of spans of them. */
int reach_read(struct reach *ret, const char *hosts, const char *ports, bool plain, char *why,
               size_t why_size);

/* Whether the address is one of special purpose: nobody outside has it. */
bool reach_is_special(const struct in6_addr *address);

/* Whether a socket may be made to that address and port, for that host of a URL; `tls`: it is an
 * https:// one. */
bool reach_allows(const struct reach *reach, const struct in6_addr *address, struct span host,
                  bool tls);
bool reach_allows_port(const struct reach *reach, uint16_t port);
