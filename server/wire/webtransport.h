/* webtransport: what a session of WebTransport adds to HTTP/3, as bytes
 * (draft-ietf-webtrans-http3-02, which browsers speak).
 *
 *   request     :protocol webtransport │ wt-available-protocols: "a", "b"
 *   answer      sec-webtransport-http3-draft: draft02 │ wt-protocol: "a"
 *   datagram    quarter of the session's stream │ number │ sequence │ message …
 *
 * Idea     The number and the sequence are ours: which subscription a message is of, and where it
 *          stands among that one's messages, since datagrams overtake each other.
 * Threads  any.
 * Memory   the caller's.
 * Source   section 3 (sessions), section 4.3 (codes of resets), RFC 9297 section 2.1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http.h"
#include "wire/span.h"
#include "wire/varint.h"

#define WEBTRANSPORT_PROTOCOL SPAN("webtransport") /* of the extended CONNECT */

enum {
    WEBTRANSPORT_NUMBER_MAX = 63, /* of a subscription: one byte */
    WEBTRANSPORT_HEAD_MAX = 3 * VARINT_BYTES_MAX,
};

/* ---- codes of resets ---- */

/* An application's code as HTTP/3 carries it: its reserved codes are left out. */
uint64_t webtransport_error(uint32_t code);

/* The way back. Returns false for a code that is no application's. */
bool webtransport_code(uint64_t error, uint32_t *ret);

/* ---- sub-protocols ---- */

/* Whether `name` is among the strings of a list of RFC 8941. What is no string is passed over, with
 * its parameters. */
bool webtransport_list_has(struct span list, struct span name);

/* Whether it is among those of a request's wt-available-protocols. */
bool webtransport_offers(const struct http_fields *fields, struct span name);

/* ---- datagrams ---- */

struct webtransport_head {
    uint64_t session; /* its stream; of a stream that carries the same, not there */
    uint64_t sequence;
    uint8_t number;
};

enum webtransport_datagram {
    WEBTRANSPORT_DATAGRAM_BAD = -1, /* RFC 9297 has the connection end: no session can have it */
    WEBTRANSPORT_DATAGRAM_OTHER,    /* of a session, and not of this form */
    WEBTRANSPORT_DATAGRAM,
};

/* Takes the head off the front of a datagram. */
enum webtransport_datagram webtransport_head_take(struct span *bytes,
                                                  struct webtransport_head *ret);

/* Writes number and sequence; returns their size. */
size_t webtransport_number_write(uint8_t *to, uint8_t number, uint64_t sequence);
