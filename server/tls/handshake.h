/* handshake: of TLS 1.3 and 1.2, in either role, by GnuTLS: bytes in, bytes out.
 *
 *   begin ─► feed ⇄ output ─► TLS_DONE ─► keys (record.h), and the bytes not yet fed are records
 *                        └──► TLS_FAILED ─► an alert as output, a name for the failure
 *
 * Idea     What a handshake needs (a session of GnuTLS, a buffer for what it says) is there for as
 *          long as it lasts. GnuTLS is given one record at a time, and so takes no byte behind the
 *          one that ends the handshake: what the peer sent behind its Finished (a client that does
 *          not wait: RFC 7918) is still the caller's when the keys are there.
 * Resuming By tickets, sealed with a key that is the server name's, and that GnuTLS changes from
 *          time to time; a server keeps nothing for a session. No early data.
 * Threads  A pool, and what was taken from it, belong to one thread. Settings (struct tls_server,
 *          struct tls_client) are read by all.
 * Memory   The pool is reserved, and touched as it is used; a session takes 11 to 20 KB of the
 *          heap while it lasts. A handshake's secrets are wiped when it is given back, and pages
 *          that a storm had touched are returned once no handshake is under way.
 * Bounds   tls_handshakes_create's `count`; of a client's message, TLS_HELLO_MAX bytes.
 * Errors   tls_handshake_error: an enum tls_error.
 * Source   RFC 8446; RFC 5246 section 7; RFC 8422 (ECDHE); RFC 7627 (extended master secret); RFC
 *          6066 section 3 (server name); RFC 7301 (ALPN); RFC 5077 (tickets of 1.2); GnuTLS 3.7. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/error.h"
#include "tls/hello.h"
#include "tls/identity.h"
#include "tls/line.h"
#include "tls/record.h"
#include "tls/suite.h"

struct tls_handshakes; /* the pool */
struct tls_handshake;
struct tls_server;
struct tls_client;

enum {
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

/* What a server offers. Only `suites` is required. The protocols stay the caller's, and outlive the
 * server. */
struct tls_server_config {
    struct tls_suites suites; /* the server's order counts, not the client's */
    const char *const
        *protocols;             /* ALPN, the best first; a client that offers none of them fails */
    size_t protocol_count;      /* 0: ALPN is ignored */
    enum tls_versions versions; /* which are spoken */
    int64_t ticket_lifetime_s;  /* 0: no resumption */
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
    enum tls_versions versions;
    const struct tls_trust *trust; /* the certificate that the server must have */
    bool trust_anybody;            /* with `trust` NULL: whoever it is. For measurements only */
    bool p256_only;                /* for the key exchange; else X25519 first, and P-384 too */
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

/* Begins as a server, with what tls_hello_asks found in the hello that will be fed: a client
 * without 1.3 is offered other suites, and only a session of the name that it asks for is resumed.
 * The handshake holds a reference on `identities` until it is given back. */
void tls_handshake_server(struct tls_handshake *handshake, const struct tls_server *server,
                          struct tls_identities *identities, const struct tls_asked *asked);

/* What a client keeps of a session with a server, to resume it. Begins as zeros. */
struct tls_ticket {
    unsigned char *bytes;
    size_t len; /* 0: none */
};

/* Begins as a client. `server_name` is NULL for none; `resume` is of an earlier session with this
 * server under this name, or NULL. */
void tls_handshake_client(struct tls_handshake *handshake, const struct tls_client *client,
                          const char *server_name, const struct tls_ticket *resume);

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

/* Whether the peer's part of the key exchange has come. */
bool tls_handshake_exchanged(const struct tls_handshake *handshake);

/* Gives up: an alert is the next output, and the last. */
void tls_handshake_abort(struct tls_handshake *handshake);

/* Copies out what the connection keeps. Only when TLS_DONE. */
void tls_handshake_keys(struct tls_handshake *handshake, struct tls_keys *ret);

/* Likewise, as a connection that may be parked keeps it. */
void tls_handshake_line(struct tls_handshake *handshake, union tls_line *ret);

/* ---- what came of it ---- */

enum tls_error tls_handshake_error(const struct tls_handshake *handshake);

/* When TLS_DONE: whether an earlier session was resumed, and the suite. */
bool tls_handshake_resumed(const struct tls_handshake *handshake);
uint16_t tls_handshake_suite(const struct tls_handshake *handshake);

/* Likewise, the curve of its key exchange (BR_EC_secp256r1, …). Of a handshake of 1.2 that resumed
 * a session, 0. */
int tls_handshake_curve(const struct tls_handshake *handshake);

/* The index of the ALPN protocol that was agreed on, or -1. */
int tls_handshake_protocol(const struct tls_handshake *handshake);

/* A client's ticket comes with the handshake in 1.2, and in records behind it in 1.3. Until one is
 * there, the handshake is told each whole record, as it came and before it is opened. Returns
 * whether there is one now. */
bool tls_handshake_told(struct tls_handshake *handshake, const unsigned char *record, size_t len);

/* Replaces a ticket, or the lack of one, by the handshake's. Returns false when it has none: then
 * nothing changes. */
bool tls_handshake_ticket(const struct tls_handshake *handshake, struct tls_ticket *ret);

/* Wipes it and leaves none. */
void tls_ticket_free(struct tls_ticket *ticket);
