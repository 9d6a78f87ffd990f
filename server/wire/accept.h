/* accept: whether a client takes a content coding (RFC 9110 section 12.5.3).
 *
 *   Accept-Encoding: gzip;q=0.5, br, *;q=0
 *
 * Threads  any; nothing is shared.
 * Memory   none. */
#pragma once

#include <stdbool.h>

#include "wire/http.h"

/* What the fields say of the coding by its name, or else by `*`; not by a weight of 0. Without a
 * field, and by a member that is none, it is not taken. */
bool accept_coding(const struct http_fields *fields, struct span coding);
