/* forwarded: the addresses that proxies leave in a request, each its client's, the last one's last.
 *
 *   X-Forwarded-For: 203.0.113.5, 2001:db8::7, 192.0.2.43:4711
 *   Forwarded: for=203.0.113.5;proto=https, for="[2001:db8::7]:4711"        (RFC 7239)
 *
 * Idea     Read from the end: what stands there was put there by the nearest proxy, and what stands
 *          before it by whoever asked that one. So nothing that a client makes up, quotation marks
 *          that never end included, changes how the elements behind it are read.
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <netinet/in.h>

#include "wire/span.h"

enum forwarded_form {
    FORWARDED_FOR, /* X-Forwarded-For: addresses, perhaps in brackets, perhaps with a port */
    FORWARDED_RFC, /* Forwarded: the parameter `for` of each element                        */
};

/* Takes the last element off a field's value. Returns 1 with its address, 0 when there is none
 * left, or -1 when what stands there is no address: nothing before it can be trusted. */
int forwarded_last(struct span *value, enum forwarded_form form, struct in6_addr *ret);
