/* record: records of TLS 1.2 and 1.3, and what a connection keeps of TLS behind its handshake.
 *
 *    0        1        3        5          13 (1.2, AES-GCM) or 5 (the others)
 *   ┌────────┬────────┬────────┬──────────┬───────────────────┬──────────┐
 *   │ type   │ 0x0303 │ length │ nonce, 8 │ ciphertext        │ tag, 16  │
 *   └────────┴────────┴────────┴──────────┴───────────────────┴──────────┘
 *     1.3: 23                              plaintext, type, zeros
 *
 * Idea     A direction is 64 bytes for every cipher: sequence number, key, fixed part of the nonce.
 *          The AES key schedule, which fills most of BearSSL's 304-byte context, is made again for
 *          each record: 50 to 100 ns, against the four cache lines that it would take to fetch.
 *          docs/decisions/tls-records.md has the comparison.
 * Threads  A direction belongs to one thread at a time. Nothing is shared.
 * Memory   The caller's, moved with memcpy; nothing here points anywhere. Whoever drops one calls
 *          tls_keys_wipe.
 * Bounds   TLS_PLAIN_MAX bytes of plaintext in a record; less when the client asked for less
 *          (RFC 6066 section 4).
 * Errors   -enum tls_error. After one the direction is of no more use but to seal the alert.
 * Source   RFC 5246 section 6.2, RFC 5288 (AES-GCM), RFC 7905 (ChaCha20-Poly1305); RFC 8446 section
 *          5 for those of 1.3. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tls/error.h"
#include "tls/suite.h"

enum {
    TLS_HEAD_SIZE = 5,
    TLS_TAG_SIZE = 16,
    TLS_PLAIN_MAX = 16384,
    TLS_EXPLICIT_SIZE = 8, /* the part of AES-GCM's nonce that travels with a record of 1.2 */
    TLS_OVERHEAD_MAX =
        TLS_HEAD_SIZE + TLS_EXPLICIT_SIZE + TLS_TAG_SIZE, /* of those that are sent */
    TLS_CIPHER_GROWTH_MAX = 256, /* by how much a peer may lengthen a record of 1.3, with zeros */
    TLS_RECORD_MAX = TLS_PLAIN_MAX + TLS_HEAD_SIZE + TLS_CIPHER_GROWTH_MAX,
    TLS_KEY_UPDATE_SIZE = 5, /* of the message: type, length, whether the peer is to do so too */
    TLS_ALERT_MAX = TLS_OVERHEAD_MAX + 2, /* the size of an alert's record */
};

enum tls_content {
    TLS_CHANGE_CIPHER_SPEC = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_APPLICATION_DATA = 23,
};

enum {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_NO_RENEGOTIATION = 100,
};

enum tls_format {
    TLS_FORMAT_12,
    TLS_FORMAT_13,
};

/* One direction of a connection. */
struct tls_direction {
    uint64_t sequence;
    uint8_t key[32];
    union {
        struct {
            uint8_t salt[4];
            uint8_t
                h[16]; /* the key of GHASH: a block of zeros, encrypted. Of 1.3 it is not kept */
        } gcm;
        uint8_t iv[12];
    } nonce;
    uint8_t cipher;     /* enum tls_cipher */
    uint8_t format;     /* enum tls_format */
    uint8_t plain_log2; /* of the largest plaintext that the peer takes */
};
static_assert(sizeof(struct tls_direction) == 64, "a direction is one cache line");

/* What a parked connection keeps. */
struct tls_keys {
    struct tls_direction in, out;
};

/* Begins a direction at sequence number 0. `iv` is 4 bytes for AES-GCM and 12 for
 * ChaCha20-Poly1305. */
void tls_direction_init(struct tls_direction *direction, enum tls_cipher cipher, const void *key,
                        const void *iv);

/* Likewise for TLS 1.3, with 12 bytes of `iv`. */
void tls_direction_init_13(struct tls_direction *direction, enum tls_cipher cipher, const void *key,
                           const void *iv);

/* Leaves nothing of the keys in memory. */
void tls_keys_wipe(struct tls_keys *keys);

/* ---- receiving ---- */

enum tls_record_kind {
    TLS_RECORD_DATA,
    TLS_RECORD_CLOSE,   /* close_notify: the peer sends no more */
    TLS_RECORD_WARNING, /* any other alert that ends nothing    */
    /* TLS 1.3: the peer goes on with new keys from here on, and so must who opens: */
    TLS_RECORD_KEY_UPDATE,
    TLS_RECORD_KEY_UPDATE_BOTH, /* and asks us for new ones as well */
    TLS_RECORD_TICKET,          /* a NewSessionTicket, which only a server sends */
};

struct tls_record {
    enum tls_record_kind kind;
    unsigned char *bytes; /* TLS_RECORD_DATA: plaintext, inside the run; may be empty */
    size_t len;
};

/* Opens, in place, the record that a run of bytes begins with.
 * Returns the size of the record, after which the next one begins; 0 when it is not all there yet;
 * or an error: VERSION, RECORD_TOO_LONG, RECORD_TOO_SHORT and UNKNOWN_TYPE as soon as the header is
 * there, else BAD_MAC, UNEXPECTED, BAD_ALERT, ALERT_RECEIVED, RENEGOTIATION. */
int tls_record_open(struct tls_direction *in, unsigned char *run, size_t len,
                    struct tls_record *ret);

/* ---- sending ---- */

/* Bytes that a record has besides its plaintext, and those of them before it. */
size_t tls_record_overhead(const struct tls_direction *out);
size_t tls_record_head(const struct tls_direction *out);

/* The most plaintext for one record. */
static inline size_t tls_record_plain_max(const struct tls_direction *out)
{
    return (size_t)1 << out->plain_log2;
}

/* Seals the plaintext that lies at area + tls_record_head into a record of its own; the area has
 * room for the overhead. Returns the size of the record, which begins at `area`. */
size_t tls_record_seal_in_place(struct tls_direction *out, enum tls_content type,
                                unsigned char *area, size_t plain_len);

/* Gathers application data into `area` and seals it; at most tls_record_plain_max in sum.
 * Returns the size of the record: the sum and the overhead. */
size_t tls_record_seal(struct tls_direction *out, const struct iovec *plain, unsigned count,
                       unsigned char *area);

/* Seals the message that says that new keys follow (TLS 1.3); it asks for none of the peer's. The
 * area has TLS_OVERHEAD_MAX + TLS_KEY_UPDATE_SIZE bytes. Returns the size of the record. */
size_t tls_key_update_seal(struct tls_direction *out, unsigned char *area);

/* Seals an alert: close_notify and no_renegotiation as warnings, all others as fatal. The area has
 * TLS_ALERT_MAX bytes. Returns the size of the record. */
size_t tls_alert_seal(struct tls_direction *out, uint8_t description, unsigned char *area);

/* Writes an alert as it is sent before there are keys: 7 bytes. */
size_t tls_alert_plain(uint8_t description, unsigned char *area);
