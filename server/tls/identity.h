/* identity: certificate chains with their keys, and which of them a client is shown.
 *
 * Idea     A set is made once, then only read and counted: a reload makes a new one, and handshakes
 *          under way finish with the one that they began with.
 * Threads  A set is built on one thread. From then on any may read, ref and unref it.
 * Memory   A set owns its chains and keys, and wipes the keys when its last reference goes.
 * Bounds   TLS_IDENTITIES_MAX pairs, TLS_CHAIN_MAX certificates and TLS_CHAIN_BYTES_MAX each,
 *          TLS_FILE_MAX bytes a file.
 * Errors   -EINVAL or another negative errno, and a sentence that names the file and what helps.
 * Source   RFC 7468 (PEM), RFC 5280 (certificates), RFC 6125 section 6.4.3 (wildcards). */
#pragma once

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_IDENTITIES_MAX = 64,
    TLS_CHAIN_MAX = 8,
    TLS_CHAIN_BYTES_MAX = 48 * 1024, /* of them all: a flight of a handshake fits into one send */
    TLS_FILE_MAX = 1 << 20,
    TLS_RSA_BITS_MAX = 4096,
    TLS_KEY_DER_MAX = 2560, /* such a key, and some */
};

struct gnutls_pcert_st;
struct gnutls_privkey_st;
struct gnutls_session_int;

/* One certificate chain and its private key. */
struct tls_identity {
    br_x509_certificate chain[TLS_CHAIN_MAX];
    size_t chain_len;
    int key_type;                /* BR_KEYTYPE_RSA or BR_KEYTYPE_EC */
    br_skey_decoder_context key; /* holds the key that br_skey_decoder_get_* point to */
    unsigned char key_excess[TLS_KEY_DER_MAX]; /* where BearSSL 0.6 writes a key that is too long */
    struct gnutls_pcert_st *pcerts; /* the chain and the key once more, as GnuTLS has them */
    struct gnutls_privkey_st *privkey;
    char *names; /* DNS names of the certificate, each ended by a zero */
    size_t names_len;
    int64_t expires_s; /* seconds since 1970 */
};

struct tls_identities;

/* Begins an empty set with one reference. NULL when there is no memory. */
struct tls_identities *tls_identities_create(void);
struct tls_identities *tls_identities_ref(struct tls_identities *set);
void tls_identities_unref(struct tls_identities *set);

/* Adds a chain (the server's own certificate first) and its key, both PEM. The names in messages
 * are those of the files. */
int tls_identities_add(struct tls_identities *set, const char *chain_pem, size_t chain_len,
                       const char *chain_name, const char *key_pem, size_t key_len,
                       const char *key_name, char *why, size_t why_size);

/* Makes a set from files: pairs "chain.pem:key.pem", separated by spaces. The first one is shown to
 * clients that give no name, or one that no certificate has. */
int tls_identities_read(struct tls_identities **ret, const char *pairs, char *why, size_t why_size);

size_t tls_identities_count(const struct tls_identities *set);
const struct tls_identity *tls_identities_at(const struct tls_identities *set, size_t index);

/* Of which set a session of GnuTLS shows one, by its client's wishes. With 1.2 a client's suites
 * are for one kind of key or both; with 1.3 for any. */
struct tls_identity_choice {
    struct tls_identities *identities;
    bool no_ecdsa_12, no_rsa_12;
};

/* Has a session of a server choose among them. The choice stays where it is, and its set is there,
 * until the session is freed. Returns GnuTLS's result. */
int tls_identities_offer(struct gnutls_session_int *session, struct tls_identity_choice *choice);

/* Whether a certificate is for this server name; wildcards stand for one label. */
bool tls_identity_named(const struct tls_identity *identity, const char *server_name);

/* The curve of an EC key (BR_EC_secp256r1, …), or 0. */
int tls_identity_curve(const struct tls_identity *identity);

/* ---- for a client: the one certificate that it accepts ---- */

struct tls_trust;

/* Trusts exactly the first certificate in a PEM file. */
int tls_trust_create(struct tls_trust **ret, const char *pem, size_t len, const char *name,
                     char *why, size_t why_size);
void tls_trust_free(struct tls_trust *trust);
bool tls_trusts(const struct tls_trust *trust, const void *der, size_t len);
