/* token: with what clients of the Centrifuge protocol sign on: a JWT of HS256 (RFC 7515) for a user
 * of its own, u0, u1, ….
 *
 * Idea     Each is signed when its client connects: two to four blocks of SHA-256, and nothing is
 *          kept of it.
 * Threads  any.
 * Memory   The caller's. */
#pragma once

#include <bearssl.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    TOKEN_MAX = 128,
};

void token_key_init(br_hmac_key_context *key, struct span secret);

/* Returns its length. */
size_t token_write(char ret[TOKEN_MAX], const br_hmac_key_context *key, uint32_t user);
