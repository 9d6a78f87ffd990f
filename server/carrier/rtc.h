/* rtc: peers of WebRTC and their data channels, for a shard.
 *
 *   POST /rtc ─► rtc_offer.c: a line for the peer, and the answer
 *   socket ─► rtc_port.c: STUN, or whose datagram ─► rtc_peer.c: DTLS, SCTP
 *                                                     └─► rtc_channel.c: a channel ─► http/
 *   http/, transports ─► a channel's line ─► rtc_turn ─► SCTP ─► record ─► datagram_send
 *
 * Idea     To the slab the port of a shard is a carrier without a socket, a peer one of its
 *          streams, and a data channel a stream of that. A data channel is a WebSocket without
 *          frames: its label is the target of the request that opens one. What the line has for it
 *          are frames; they become messages here, and messages frames. So a channel carries what a
 *          WebSocket does, and no transport knows of it.
 * Peers    The name of a peer is its slot and its generation; its password is an HMAC of that. So
 *          nothing is kept to know it by, and a stranger gets no answer.
 * Threads  The shard's. struct rtc_library is made once and read by all.
 * Memory   Two lines for a peer with a channel, and some 300 bytes while it is idle; 1 KB more
 *          while something is under way, and 15 KB for a handshake. All of it, and what SCTP
 *          holds, is charged (BUDGET_RTC).
 * Bounds   rtc_total_bytes_max, streams_max, rtc_handshakes_max; SCTP_STREAMS_MAX channels of a
 *          peer, SCTP's own bounds; RTC_MESSAGE_MAX bytes of a message.
 * Source   RFC 8445 (lite), RFC 7675, RFC 7983, RFC 8261, RFC 8831, RFC 8832, RFC 9725. */
#pragma once

#include "conn/datagrams.h"
#include "conn/shard.h"
#include "http/exchange.h"

enum {
    RTC_MESSAGE_MAX = 65536,
};

extern const struct transport rtc_transport;       /* of a peer's line */
extern const struct transport rtc_offer_transport; /* of a request that brings an offer */
extern const struct datagram_ops rtc_datagrams;

/* POST /rtc, DELETE /rtc/… */
void rtc_offer_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void rtc_delete_open(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* What all peers have in common: a certificate, a secret, the addresses of rtc_address. Returns 0,
 * or negative errno with a sentence in `why`. */
int rtc_library_create(struct rtc_library **ret, const struct settings *settings, char *why,
                       size_t why_size);
/* Accepts NULL. */
void rtc_library_free(struct rtc_library *library);
/* The UDP port of a shard, before it starts. */
void rtc_library_port(struct rtc_library *library, unsigned shard, uint16_t port);
