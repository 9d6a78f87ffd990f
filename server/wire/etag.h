/* etag: If-None-Match, as far as it may name our own tags (RFC 9110 sections 8.8.3 and 13.1.2).
 *
 *   If-None-Match: W/"5f3a00c29b1e77d0", "of somebody else"
 *   If-None-Match: *
 *
 * Ours are 16 digits of lower-case hex, and weak: the same answer may be compressed or not.
 *
 * Threads  any; nothing is shared.
 * Memory   none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    ETAG_SIZE = 2 + 1 + 16 + 1, /* W/"0123456789abcdef" */
    ETAGS_MAX = 4,              /* of ours, remembered of one request; a cache sends one */
};

struct etags {
    bool any; /* `*`: any at all */
    uint8_t count;
    uint64_t list[ETAGS_MAX];
};

void etag_write(char buf[ETAG_SIZE], uint64_t tag);

/* Adds what the value of one field names. What is no list of tags ends it, and names nothing: the
 * request is then answered whole. */
void etags_add(struct etags *etags, struct span value);

/* Whether they name it. Weak and strong are the same here (section 8.8.3.2). */
bool etags_have(const struct etags *etags, uint64_t tag);
