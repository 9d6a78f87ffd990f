/* secrets: the traffic secrets of a TLS 1.3 connection, of which its keys are made, and made anew.
 *
 *   secret ─┬─ "key", "iv" ──► struct tls_direction (record.h)
 *           └─ "traffic upd" ─► the next secret, after a KeyUpdate
 *
 * Idea     Keys alone open and seal records, but either side may ask for new ones at any time, and
 *          those are made of the secret before. line.h says how both fit into 128 bytes.
 * Threads  any, each with its own.
 * Memory   the caller's; whoever drops them calls tls_secrets_wipe.
 * Source   RFC 8446 sections 7.1 (HKDF-Expand-Label), 7.2 and 7.3; 4.6.3 (KeyUpdate). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tls/record.h"

enum {
    TLS_SECRET_MAX = 48, /* with SHA-384, of AES-256; the others have 32 */
};

struct tls_secrets {
    uint8_t in[TLS_SECRET_MAX], out[TLS_SECRET_MAX];
};

size_t tls_secret_size(enum tls_cipher cipher);

/* Begins a direction of TLS 1.3 at sequence number 0 with the keys of this secret. */
void tls_secret_keys(const uint8_t *secret, enum tls_cipher cipher, struct tls_direction *ret);

/* Goes on to the next secret, and to its keys. How large the peer takes records stays as it is. */
void tls_secret_update(uint8_t *secret, struct tls_direction *direction);

void tls_secrets_wipe(struct tls_secrets *secrets);
