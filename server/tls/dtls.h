/* dtls: a handshake of DTLS 1.2, of either side, with a peer whose certificate was named before, by
 * GnuTLS: datagrams in, datagrams out.
 *
 *   create ─► feed ⇄ output ─► DTLS_SHAKEN ─► keys (dtls_record.h)
 *             timer ┘     └──► DTLS_FAILED
 *
 * Idea     As with TLS 1.3, a library shakes hands and its session goes; what stays is a line of
 *          keys. The caller keeps the handshake until the first record under the new keys comes: as
 *          long as the peer may not have heard our last flight, it says its own again, and only the
 *          session can answer.
 * Peer     Its certificate must have the fingerprint that it said in its offer (RFC 8122): that is
 *          all that is asked of it. Ours is made at the start and has no name.
 * Cookies  None: ICE has shown already that the peer hears at its address, and today's hellos come
 *          in two datagrams, which cookies do not survive.
 *          A client has heard the server's last flight when it is done, and needs it no longer.
 * Threads  struct dtls_identity is read by all; a handshake belongs to one.
 * Memory   11 KB of the heap for a handshake, and a buffer for one flight.
 * Bounds   DTLS_FLIGHT_MAX bytes that wait to be taken; DTLS_TIMEOUTS_MAX flights said again in a
 *          row, so that somebody else's address gets no more than that.
 * Errors   DTLS_FAILED: an alert is the last output, if one was due.
 * Source   RFC 6347, RFC 5764 (the extension that stacks want to see answered), RFC 8261; GnuTLS
 *          3.7. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tls/dtls_record.h"

struct dtls_identity;
struct dtls_handshake;

enum {
    DTLS_FINGERPRINT_SIZE = 32,
    DTLS_DATAGRAM_MAX = 1200,
    DTLS_FLIGHT_MAX = 4096,
    DTLS_TIMEOUTS_MAX = 4,
};

/* Makes a key and a certificate. Returns NULL when it cannot. */
struct dtls_identity *dtls_identity_create(void);
void dtls_identity_free(struct dtls_identity *identity);

/* SHA-256 of the certificate. */
const uint8_t *dtls_identity_fingerprint(const struct dtls_identity *identity);

enum dtls_progress {
    DTLS_SHAKING,
    DTLS_SHAKEN,
    DTLS_FAILED,
};

enum dtls_role {
    DTLS_SERVER,
    DTLS_CLIENT, /* its first flight can be taken at once */
};

/* Returns NULL when memory is out. */
struct dtls_handshake *dtls_handshake_create(const struct dtls_identity *identity,
                                             enum dtls_role role,
                                             const uint8_t fingerprint[DTLS_FINGERPRINT_SIZE]);
void dtls_handshake_free(struct dtls_handshake *handshake);

/* Takes a datagram; also behind the end, where it may be the peer's last flight once more. */
enum dtls_progress dtls_handshake_feed(struct dtls_handshake *handshake, const uint8_t *datagram,
                                       size_t len);

/* Writes the next datagram. Returns its size, 0 when there is none. */
size_t dtls_handshake_output(struct dtls_handshake *handshake, uint8_t datagram[DTLS_DATAGRAM_MAX]);

/* In how many milliseconds dtls_handshake_timer is to be called; 0: nothing was said yet that could
 * be said again. */
unsigned dtls_handshake_wait_ms(struct dtls_handshake *handshake);

/* Says the last flight again, or fails. */
enum dtls_progress dtls_handshake_timer(struct dtls_handshake *handshake);

/* Copies out what the peer keeps. Only when DTLS_SHAKEN; not to be fed any more then. */
void dtls_handshake_keys(struct dtls_handshake *handshake, struct dtls_keys *ret);
