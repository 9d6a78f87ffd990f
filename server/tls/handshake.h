/* handshake: of TLS 1.2 in either role, by BearSSL, and of 1.3 as a server, by GnuTLS: bytes in,
 * bytes out.
 *
 *   begin ─► feed ⇄ output ─► TLS_DONE ─► keys (record.h), and the bytes not yet fed are records
 *                        └──► TLS_FAILED ─► an alert as output, a name for the failure
 *
 * Idea     What a handshake needs (an engine of 4 KB, a record buffer of 16 KB) is taken from a
 *          pool for as long as it lasts. It takes no byte beyond the record that ends it, so what
 *          the peer sent behind its Finished (a client that does not wait: RFC 7918) is still the
 *          caller's when the keys are there.
 * Threads  A pool, and what was taken from it, belong to one thread. Settings (struct tls_server,
 *          struct tls_client) are read by all.
 * Memory   Reserved with the pool and touched as it is used. A handshake's secrets are wiped when
 *          it is given back, and pages that a storm had touched are returned once no handshake is
 *          under way.
 * Bounds   tls_handshakes_create's `count`.
 * Errors   tls_handshake_error: an enum tls_error.
 * Source   RFC 8446; RFC 5246 section 7; RFC 8422 (ECDHE); RFC 6066 section 3 (server name);
 *          RFC 7301 (ALPN); RFC 5746: renegotiation is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/error.h"
#include "tls/hello.h"
#include "tls/identity.h"
#include "tls/record.h"
#include "tls/secrets.h"
#include "tls/sessions.h"
#include "tls/suite.h"

struct tls_handshakes; /* the pool */
struct tls_handshake;
struct tls_server;
struct tls_client;

enum {
    TLS_SEED_SIZE = 32,
    TLS_PROTOCOLS_MAX = 4,
};

/* ---- the pool ---- */

/* Returns NULL when the address space for it cannot be had. */
struct tls_handshakes *tls_handshakes_create(uint32_t count);
void tls_handshakes_free(struct tls_handshakes *pool);

/* Takes one. Returns NULL when all are in use. */
struct tls_handshake *tls_handshake_take(struct tls_handshakes *pool);

/* Gives one back and wipes it, in whatever state it is. */
void tls_handshake_give(struct tls_handshakes *pool, struct tls_handshake *handshake);

uint32_t tls_handshakes_in_use(const struct tls_handshakes *pool);

/* ---- settings of a role ---- */

enum tls_versions {
    TLS_VERSIONS_12,
    TLS_VERSIONS_13,
    TLS_VERSIONS_BOTH,
};

/* What a server offers. Only `suites` is required. The protocols and `sessions` stay the caller's,
 * and outlive the server. */
struct tls_server_config {
    struct tls_suites suites; /* the server's order counts, not the client's */
    const char *const
        *protocols;        /* ALPN, the best first; a client that offers none of them fails */
    size_t protocol_count; /* 0: ALPN is ignored */
    struct tls_sessions *sessions; /* NULL: no resumption of 1.2 */
    enum tls_versions versions;    /* which are spoken */
    int64_t ticket_lifetime_s;     /* of 1.3; 0: no resumption of it */
};

/* Reads versions, "1.2", "1.3" or both, separated by a space, into a config that has its suites.
 * Returns 0 or -EINVAL with `why`. */
int tls_versions_read(struct tls_server_config *config, const char *text, char *why,
                      size_t why_size);

/* Returns NULL when memory is out. */
struct tls_server *tls_server_create(const struct tls_server_config *config);
void tls_server_free(struct tls_server *server);

/* What a client offers. `trust` stays the caller's. */
struct tls_client_config {
    struct tls_suites suites;
    const char *const *protocols;
    size_t protocol_count;
    const struct tls_trust *trust; /* the key that the server must have */
    bool trust_anybody;            /* with `trust` NULL: whoever it is. For measurements only */
    bool p256_only;                /* for the key exchange; else X25519 too */
    /* Takes the server's ECDSA signature as good, which is most of a client's work: a load
     * generator that looks at each would measure itself. For measurements only. */
    bool signature_unchecked;
};

struct tls_client *tls_client_create(const struct tls_client_config *config);
void tls_client_free(struct tls_client *client);

/* ---- one handshake ---- */

enum tls_progress {
    TLS_WANTS_INPUT,
    TLS_HAS_OUTPUT, /* takes no input before the output is taken */
    TLS_DONE,       /* all output is taken */
    TLS_FAILED,     /* all output is taken; an alert was part of it, if one was due */
};

/* Begins as a server, with what tls_hello_asks found in the hello that will be fed: it decides
 * which version is spoken, and only a session of the name that it asks for is resumed. The
 * handshake holds a reference on `identities` until it is given back. `seed` is fresh
 * randomness. */
void tls_handshake_server(struct tls_handshake *handshake, const struct tls_server *server,
                          struct tls_identities *identities, const struct tls_asked *asked,
                          int64_t now_s, const uint8_t seed[TLS_SEED_SIZE]);

/* Begins as a client. `server_name` is NULL for none; `resume` is an earlier session with this
 * server, or NULL. */
void tls_handshake_client(struct tls_handshake *handshake, const struct tls_client *client,
                          const char *server_name, const struct tls_session *resume,
                          const uint8_t seed[TLS_SEED_SIZE]);

enum tls_progress tls_handshake_progress(const struct tls_handshake *handshake);

/* Feeds bytes from the peer. Returns how many were taken: fewer than given when there is output
 * first, and when the handshake is over. */
size_t tls_handshake_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len);

/* Takes output for the peer. Returns how many bytes, 0 when there are none. */
size_t tls_handshake_output(struct tls_handshake *handshake, unsigned char *area, size_t size);

/* Goes on with what is there of bytes + *at, which it moves on by as many as are taken. Returns why
 * it stops: TLS_WANTS_INPUT when all are taken; TLS_HAS_OUTPUT: take that, and call again. */
enum tls_progress tls_handshake_advance(struct tls_handshake *handshake, const unsigned char *bytes,
                                        size_t len, size_t *at);

/* Whether the peer has sent its part of the key exchange, and gone over to its keys. */
bool tls_handshake_exchanged(const struct tls_handshake *handshake);

/* Gives up: an alert is the next output, and the last. */
void tls_handshake_abort(struct tls_handshake *handshake);

/* Copies out what the connection keeps. Only when TLS_DONE. */
void tls_handshake_keys(struct tls_handshake *handshake, struct tls_keys *ret);

/* Likewise, what a connection of TLS 1.3 keeps beside them. Returns false when it is of 1.2. */
bool tls_handshake_secrets(const struct tls_handshake *handshake, struct tls_secrets *ret);

/* ---- what came of it ---- */

enum tls_error tls_handshake_error(const struct tls_handshake *handshake);

/* When TLS_DONE: whether an earlier session was resumed, and the suite. */
bool tls_handshake_resumed(const struct tls_handshake *handshake);
uint16_t tls_handshake_suite(const struct tls_handshake *handshake);

/* Likewise, the curve of its key exchange (BR_EC_secp256r1, BR_EC_curve25519). Of a handshake that
 * resumed a session, 0. */
int tls_handshake_curve(const struct tls_handshake *handshake);

/* The index of the ALPN protocol that was agreed on, or -1. */
int tls_handshake_protocol(const struct tls_handshake *handshake);

/* Copies out the session for a later handshake. Returns false when the server gave none. */
bool tls_handshake_session(const struct tls_handshake *handshake, struct tls_session *ret);
