/* sdp: the offer of a peer that wants data channels, and the answer of a server that has a public
 * address (RFC 8866, RFC 8829, RFC 8841, RFC 8839).
 *
 *     offer                                              answer
 *     v=0, o=, s=, t=                                    likewise
 *     a=group:BUNDLE 0                                   the same; a=ice-lite
 *     m=application 9 UDP/DTLS/SCTP webrtc-datachannel   the same, with the port
 *     a=ice-ufrag, a=ice-pwd                             the server's
 *     a=fingerprint:sha-256 AB:CD:…                      the server's
 *     a=setup:actpass or active                          passive: the peer shakes hands
 *     a=mid:0, a=sctp-port:5000                          the same; a=candidate for each address
 *
 * Idea     Of an offer only that counts which the server must know; candidates do not, for a lite
 *          agent sends no checks and learns the address from the first one that it gets. What would
 *          make the answer a lie is an error by name: media, another role, no fingerprint.
 * Threads  any.
 * Memory   the caller's. What was read points into the offer.
 * Bounds   SDP_OFFER_MAX bytes, SDP_LINE_MAX a line.
 * Errors   by name. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    SDP_OFFER_MAX = 16384,
    SDP_LINE_MAX = 1024,
    SDP_MID_MAX = 32,
    SDP_FINGERPRINT_SIZE = 32, /* of SHA-256 */
    SDP_ADDRESSES_MAX = 2,     /* one for each family */
    SDP_ANSWER_MAX = 1536,
};

struct sdp_offer {
    struct span mid; /* empty: none was said */
    uint8_t fingerprint[SDP_FINGERPRINT_SIZE];
    uint16_t sctp_port;
    uint32_t message_bytes_max; /* that the peer takes; 0: of any size */
};

struct sdp_answer {
    struct span mid, ufrag, password;
    uint8_t fingerprint[SDP_FINGERPRINT_SIZE];
    struct in6_addr addresses[SDP_ADDRESSES_MAX];
    unsigned address_count;
    uint16_t port;
    uint16_t sctp_port;
    uint32_t message_bytes_max;
    uint64_t session; /* a number that no other answer has */
};

enum sdp_error {
    SDP_SYNTAX = -1,      /* no lines of a letter, '=' and a value, or too long        */
    SDP_VERSION = -2,     /* does not begin with v=0                                   */
    SDP_MEDIA = -3,       /* not one m= line, of data channels over UDP                */
    SDP_ICE = -4,         /* no ufrag and password, or the peer is a lite agent itself */
    SDP_FINGERPRINT = -5, /* none of SHA-256, or none that can be read                 */
    SDP_SETUP = -6,       /* the peer does not want to begin the handshake             */
    SDP_SCTP = -7,        /* no a=sctp-port, or a number that is none                  */
};

/* Returns 0, or an enum sdp_error. */
int sdp_offer_read(struct sdp_offer *ret, struct span text);

/* Writes the answer. Returns its size, or -ENOBUFS. */
int sdp_answer_write(char *buf, size_t size, const struct sdp_answer *answer);

/* ---- the other side, for clients that measure ---- */

/* Writes an offer of data channels alone, without candidates. Returns its size, or -ENOBUFS. */
int sdp_offer_write(char *buf, size_t size, struct span ufrag, struct span password,
                    const uint8_t fingerprint[SDP_FINGERPRINT_SIZE], uint16_t sctp_port);

/* Reads an answer as sdp_answer_write has it: one that does not begin the handshake, with an IPv4
 * candidate. Its `mid` and `session` are not read. Returns 0, or an enum sdp_error. */
int sdp_answer_read(struct sdp_answer *ret, struct span text);
