/* origins: which web pages may use the server (Fetch standard, CORS; RFC 6455 section 10.2 for
 * WebSocket).
 *
 * Threads  Made before the shards start, read-only afterwards.
 * NULL     allows none, as an empty list does.
 * Bounds   SETTINGS_ORIGINS_MAX origins. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http.h"
#include "wire/span.h"

struct origins;

/* Reads a list separated by spaces: `*`, or origins such as https://example.org. Returns 0 or
 * -EINVAL with `why`. */
int origins_create(struct origins **ret, const char *list, char *why, size_t why_size);
void origins_free(struct origins *origins);

/* True when answers are the same for everybody, so that one encoding serves all. */
bool origins_any(const struct origins *origins);

enum origin_verdict {
    ORIGIN_NONE, /* the request names no origin: not a page, or a page of our own */
    ORIGIN_ALLOWED,
    ORIGIN_REFUSED,
};

/* Judges a request; `*ret` is what conn.origin keeps of it. */
enum origin_verdict origins_check(const struct origins *origins, const struct http_request *request,
                                  uint8_t *ret);

/* Whether the request comes from a page of this very server, over plain HTTP: its Origin is what
 * its Host names (RFC 6454 section 5). */
bool origin_is_own(const struct http_request *request);

/* The response fields that tell the browser so, each ended by CRLF; empty for ORIGIN_NONE with a
 * list. */
struct span origins_fields(const struct origins *origins, uint8_t origin);
