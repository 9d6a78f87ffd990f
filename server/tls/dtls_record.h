/* dtls_record: records of DTLS 1.2 behind the handshake, and what a peer keeps of it.
 *
 *    0      1        3       5          11       13                       (AES-GCM)
 *   ┌──────┬────────┬───────┬──────────┬────────┬──────────┬────────────┬─────────┐
 *   │ type │ 0xfefd │ epoch │ sequence │ length │ nonce, 8 │ ciphertext │ tag, 16 │
 *   └──────┴────────┴───────┴──────────┴────────┴──────────┴────────────┴─────────┘
 *
 * Idea     As record.h: a direction keeps the raw key, and the AES schedule is made for each
 *          record. There is one epoch, 1: who wants new keys shakes hands anew. What is late, twice
 *          or false is dropped, as a network drops it; nothing here ends anything.
 * Threads  One at a time; nothing is shared.
 * Memory   The caller's, moved with memcpy. Whoever drops one calls dtls_keys_wipe.
 * Bounds   A record is part of one datagram; DTLS_WINDOW sequence numbers are told apart.
 * Errors   By name.
 * Source   RFC 6347 section 4.1, RFC 5288 (AES-GCM), RFC 7905 (ChaCha20-Poly1305). */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/suite.h"

enum {
    DTLS_HEAD_SIZE = 13,
    DTLS_OVERHEAD_MAX = DTLS_HEAD_SIZE + 8 + 16,
    DTLS_ALERT_SIZE = DTLS_OVERHEAD_MAX + 2,
    DTLS_WINDOW = 64,
    DTLS_PARKED_WINDOW = 32,
};

struct dtls_direction {
    uint64_t sequence; /* epoch in the upper 16 bits: out, the next; in, the highest that came */
    uint8_t key[32];   /* of AES-128 the key, and the key of GHASH */
    uint8_t iv[12];    /* of AES-GCM, the first four bytes */
};

/* What a parked peer keeps. */
struct dtls_keys {
    struct dtls_direction in, out;
    uint64_t came;  /* which of the DTLS_WINDOW up to the highest: bit 0 is that one */
    uint8_t cipher; /* enum tls_cipher: TLS_AES_128_GCM or TLS_CHACHA20_POLY1305 */
};

/* The same in less than half of the bytes, which AES-128-GCM allows: the key of GHASH is made
 * again. Of the numbers that came the last DTLS_PARKED_WINDOW are told apart, as many as RFC 6347
 * asks for: whatever is older counts as come. */
struct dtls_parked {
    uint32_t came;
    uint8_t in_sequence[6], out_sequence[6]; /* of epoch 1 */
    uint8_t in_key[16], out_key[16];
    uint8_t in_iv[4], out_iv[4];
};
static_assert(sizeof(struct dtls_parked) == 56, "nothing between them");

enum dtls_error {
    DTLS_LENGTH = -1,   /* no head, or a length that the datagram contradicts */
    DTLS_VERSION = -2,  /* another version                                    */
    DTLS_EPOCH = -3,    /* not the one that there are keys for                */
    DTLS_REPLAYED = -4, /* it came before, or so long ago that nobody knows   */
    DTLS_MAC = -5,      /* it does not decrypt                                */
};

struct dtls_record {
    uint8_t type; /* enum tls_content */
    uint8_t *bytes;
    size_t len;
};

/* Begins both directions. `sequence` is the next to be sent, epoch included. */
void dtls_keys_init(struct dtls_keys *keys, enum tls_cipher cipher, const uint8_t *in_key,
                    const uint8_t *in_iv, const uint8_t *out_key, const uint8_t *out_iv,
                    uint64_t sequence);
void dtls_keys_wipe(struct dtls_keys *keys);

/* Returns false for a cipher whose keys are no shorter: they stay as they are. */
bool dtls_keys_park(const struct dtls_keys *keys, struct dtls_parked *ret);
void dtls_keys_wake(struct dtls_keys *keys, const struct dtls_parked *parked);

/* The type and the epoch of the record that a datagram begins with. Returns its size, or
 * DTLS_LENGTH. */
int dtls_record_peek(const uint8_t *datagram, size_t len, uint8_t *ret_type, uint16_t *ret_epoch);

/* Opens, in place, the record that the bytes begin with. Returns its size, behind which the next
 * one begins, or an enum dtls_error; `ret` is then untouched. */
int dtls_record_open(struct dtls_keys *keys, uint8_t *bytes, size_t len, struct dtls_record *ret);

/* Where the plaintext of a record begins that is sealed. */
size_t dtls_record_head(const struct dtls_keys *keys);

/* Seals the plaintext that lies at area + dtls_record_head; behind it is room for a tag of 16
 * bytes. Returns the size of the record. */
size_t dtls_record_seal(struct dtls_keys *keys, uint8_t type, uint8_t *area, size_t plain_len);

/* Seals close_notify. */
size_t dtls_close_seal(struct dtls_keys *keys, uint8_t area[DTLS_ALERT_SIZE]);
