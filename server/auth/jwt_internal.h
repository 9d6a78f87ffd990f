/* jwt_internal: between jwt.c, which verifies, and jwt_claims.c, which reads what was verified.
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include "auth/jwt.h"

/* Reads the claims of a payload and holds them against the rules. `spare` takes what strings with
 * escapes stand for, and is at least as long as the payload. Returns 0 or an enum jwt_error. */
int jwt_claims_read(struct jwt_claims *ret, struct span payload, const struct jwt_rules *rules,
                    char *spare, size_t spare_len);
