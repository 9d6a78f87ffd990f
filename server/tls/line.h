/* line: what a connection keeps of TLS while it is parked: 128 bytes, whatever version and cipher.
 *
 *         0                                                    60    61    62
 *        ┌────────────────────────────────────────────────────┬────┬──────┬──────┐
 *   in   │ 1.2: struct tls_direction                          │         0        │
 *        │ AES-128-GCM:        secret, 32 │ key, 16 │ iv, 12  │ n  │ kind │ n, n │
 *        │ ChaCha20-Poly1305:  secret, 32 │ out's, 16 │       │    │      │      │
 *        │ AES-256-GCM:        secret, 48 │                   │    │      │      │
 *        ├────────────────────────────────────────────────────┼────┼──────┼──────┤
 *   out  │ likewise; ChaCha20: key, 32 │ iv, 12 │ secret, 16  │ n  │ kind │ n, n │
 *        └────────────────────────────────────────────────────┴────┴──────┴──────┘
 *
 * Idea     Either side of 1.3 may go on to new keys, which are made of its traffic secret. Keys
 *          beside secrets would be another line, so what is not needed often is made again for each
 *          record: with AES the key of GHASH, one block; with ChaCha20 what is received by, and
 *          with AES-256 both, an HMAC each for key and IV. What is sent by lies in the second half,
 *          which a send touches alone.
 * Threads  A line belongs to one thread at a time.
 * Memory   the caller's; whoever drops one calls tls_line_wipe. A direction that was made of it is
 *          wiped by tls_line_forget.
 * Bounds   TLS_LINE_IN_MAX records are opened with the same keys of 1.3, TLS_LINE_OUT_MAX sealed:
 *          more than RFC 8446 section 5.5 lets be sent by AES-GCM.
 * Source   RFC 8446 sections 5.5, 7.2 and 7.3. */
#pragma once

#include <assert.h>

#include "tls/record.h"
#include "tls/secrets.h"

enum {
    TLS_LINE_HALF = 60,
    TLS_LINE_IN_MAX = 1 << 29,
    TLS_LINE_OUT_MAX = 1 << 24,
};

struct tls_line_half {
    uint8_t bytes[TLS_LINE_HALF];
    uint8_t low; /* the lowest byte of the sequence number */
    uint8_t kind;
    uint8_t high[2];
};

union tls_line {
    struct tls_keys keys; /* 1.2 */
    struct {
        struct tls_line_half in, out;
    };
};
static_assert(sizeof(union tls_line) == 128, "two cache lines");

/* Keeps what a handshake has left; `secrets` are NULL with 1.2. */
void tls_line_keep(union tls_line *line, const struct tls_keys *keys,
                   const struct tls_secrets *secrets);
void tls_line_wipe(union tls_line *line);

/* How large the peer takes records, and what they have before their plaintext. */
size_t tls_line_plain_max(const union tls_line *line);
size_t tls_line_head(const union tls_line *line);

/* The direction to open or seal records with: the line's own, or one that is made in `scratch`. */
struct tls_direction *tls_line_in(union tls_line *line, struct tls_direction *scratch);
struct tls_direction *tls_line_out(union tls_line *line, struct tls_direction *scratch);

/* Records have been opened, or sealed, by it: the line goes on from there. That for those opened
 * returns false when there were too many with the same keys. */
bool tls_line_in_used(union tls_line *line, const struct tls_direction *in);
void tls_line_out_used(union tls_line *line, const struct tls_direction *out);

/* 1.3: goes on to the next secret and its keys, of which it makes the direction again. */
void tls_line_in_update(union tls_line *line, struct tls_direction *in);
void tls_line_out_update(union tls_line *line, struct tls_direction *out);

/* Leaves nothing in what was lent as scratch. */
void tls_line_forget(struct tls_direction *scratch);
