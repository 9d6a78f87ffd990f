/* suite: the cipher suites that are spoken here, and the names operators give them.
 *
 *   TLS_ECDHE_{ECDSA,RSA}_WITH_{AES_128_GCM_SHA256, AES_256_GCM_SHA384, CHACHA20_POLY1305_SHA256}
 *
 *   1.3: TLS_{AES_128_GCM_SHA256, AES_256_GCM_SHA384, CHACHA20_POLY1305_SHA256}
 *
 * Each has forward secrecy and an AEAD; there is no CBC, no RSA key exchange, nothing older.
 *
 * Threads  any.
 * Source   RFC 5289, RFC 7905; RFC 8446 appendix B.4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_cipher {
    TLS_AES_128_GCM,
    TLS_AES_256_GCM,
    TLS_CHACHA20_POLY1305,
    TLS_CIPHER_COUNT,
};

enum {
    TLS_SUITES_MAX = 2 * TLS_CIPHER_COUNT,
    TLS_13_AES_128_GCM_SHA256 = 0x1301,
    TLS_13_AES_256_GCM_SHA384 = 0x1302,
    TLS_13_CHACHA20_POLY1305_SHA256 = 0x1303,
};

/* An order of suites, the best first. */
struct tls_suites {
    uint16_t suites[TLS_SUITES_MAX];
    size_t count;
};

/* Reads an order of ciphers: aes128-gcm, aes256-gcm and chacha20-poly1305, separated by spaces.
 * Each stands for its two suites, ECDSA before RSA. Returns 0 or -EINVAL with `why`. */
int tls_suites_read(struct tls_suites *ret, const char *text, char *why, size_t why_size);

/* The suite's name in the registry, or "unknown". */
const char *tls_suite_name(uint16_t suite);

/* Whether it is one of 1.2 that is spoken here with this kind of key: RSA, or ECDSA. */
bool tls_suite_is(uint16_t suite, bool rsa);

/* The suite of a cipher, with 1.3, or with 1.2 and this kind of key. */
uint16_t tls_suite_of(enum tls_cipher cipher, bool is_13, bool rsa);

/* Writes what GnuTLS calls the cipher of a suite of 1.2, and `with_12` its key exchange. Returns
 * how long that is, as snprintf does. */
int tls_suite_offer(uint16_t suite, bool with_12, char *text, size_t size);

/* The name as tls_suites_read takes it. */
const char *tls_cipher_name(enum tls_cipher cipher);
