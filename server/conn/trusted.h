/* trusted: the addresses of proxies that are believed when they say whose a request is.
 *
 * Threads  Made before the shards start, read-only afterwards.
 * Bounds   TRUSTED_MAX ranges, looked through one by one for each connection that is accepted.
 * Errors   -EINVAL with a sentence in `why`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wire/address.h"

enum {
    TRUSTED_MAX = 64,
};

struct trusted {
    unsigned count;
    struct address_range ranges[TRUSTED_MAX];
};

/* Reads a list separated by spaces: addresses, and ranges such as 10.0.0.0/8. */
int trusted_read(struct trusted *ret, const char *list, char *why, size_t why_size);

/* NULL trusts nobody. */
bool trusted_is(const struct trusted *trusted, const struct in6_addr *address);
