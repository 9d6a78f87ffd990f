/* stun: the Binding requests with which an ICE agent checks a path, and the answers that a lite
 * agent gives (RFC 8489, RFC 8445). The other side of both is for clients that measure.
 *
 *    0              2               4                8                          20
 *   ┌──────────────┬───────────────┬────────────────┬──────────────────────────┬────────────┐
 *   │ type 0x0001  │ length        │ 0x2112a442     │ transaction, 12          │ attributes │
 *   └──────────────┴───────────────┴────────────────┴──────────────────────────┴────────────┘
 *     attribute: type, length, value, zeros up to a multiple of 4
 *     … USERNAME … MESSAGE-INTEGRITY (HMAC-SHA1 of all before it), FINGERPRINT (CRC-32 of all)
 *
 * Idea     Nothing else is read: what is no whole request with name, integrity and fingerprint is
 *          an error, and an error is answered by silence. So a stranger costs a CRC-32, and a
 *          forger one HMAC.
 * Threads  any.
 * Memory   the caller's. What was read points into the datagram.
 * Bounds   a datagram; STUN_ANSWER_MAX bytes of answer, never more than the request had.
 * Errors   by name. */
#pragma once

#include <netinet/in.h>
#include <nettle/hmac.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    STUN_HEAD_SIZE = 20,
    STUN_TRANSACTION_SIZE = 12,
    STUN_ANSWER_MAX = STUN_HEAD_SIZE + 24 + 24 + 8, /* address, integrity, fingerprint */
    STUN_REQUEST_MAX = 1500,
    STUN_USERNAME_MAX = 513, /* RFC 8445 section 7.2.2: two fragments and a colon */
};

/* A password, as far as it can be hashed ahead of any message: what checks a request makes the
 * answer as well. */
struct stun_key {
    struct hmac_sha1_ctx hmac;
};

struct stun_request {
    const uint8_t *transaction;
    struct span username;
    uint32_t priority;
    bool controlling;    /* ICE-CONTROLLING: this end of the check nominates */
    bool use_candidate;  /* … and does so by this check                      */
    size_t integrity_at; /* where MESSAGE-INTEGRITY begins                   */
};

enum stun_error {
    STUN_OTHER = -1,       /* no STUN, or another message than a Binding request           */
    STUN_LENGTH = -2,      /* a length that the datagram or the attributes contradict      */
    STUN_ATTRIBUTE = -3,   /* an attribute with a wrong size, or twice, or behind its turn */
    STUN_UNKNOWN = -4,     /* one that must be understood, and is not                      */
    STUN_MISSING = -5,     /* USERNAME, MESSAGE-INTEGRITY or FINGERPRINT is not there      */
    STUN_FINGERPRINT = -6, /* the CRC-32 is another                                        */
};

void stun_key_init(struct stun_key *key, struct span password);

/* Returns 0, or an enum stun_error. Nothing is authentic yet. */
int stun_read(struct stun_request *ret, const uint8_t *bytes, size_t len);

/* Whether MESSAGE-INTEGRITY was made with the password. `bytes` is what `request` was read from. */
bool stun_authentic(const struct stun_request *request, const uint8_t *bytes, struct stun_key *key);

/* Writes the success response that tells the peer its address (XOR-MAPPED-ADDRESS); an IPv4 address
 * comes as its mapped IPv6 address. Returns its size: 64, or 76 for IPv6. */
size_t stun_answer(uint8_t buf[STUN_ANSWER_MAX], const struct stun_request *request,
                   const struct in6_addr *address, uint16_t port, struct stun_key *key);

/* Whether the datagram is the success response to that request, made with the password. */
bool stun_answers(const uint8_t *bytes, size_t len, const uint8_t *transaction,
                  struct stun_key *key);

/* Writes a request of a controlling agent. Returns its size, or -ENOBUFS. */
int stun_write(uint8_t *buf, size_t size, const struct stun_request *request, struct stun_key *key);
