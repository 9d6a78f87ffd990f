/* quic: HTTP/3 (RFC 9114) over QUIC (RFC 9000) for a shard, by libngtcp2 and GnuTLS.
 *
 *   socket ─► quic_port.c: whose is it ─► quic_conn.c: ngtcp2 ─► http3*.c: streams ─► http/
 *                 └─► Retry, version negotiation, stateless reset
 *   http/ ─► a stream's line ─► http3_turn ─► ngtcp2 ─► datagram_send
 *
 * Idea     To the slab the port of a shard is a carrier without a socket, a QUIC connection one of
 *          its streams, and a request a stream of that. The library has packets, losses and
 *          windows; what is on the streams is ours.
 * Threads  The shard's. The library's settings and secrets are made once and read by all.
 * Memory   What the library takes for a connection is counted and charged (BUDGET_QUIC). Bytes that
 *          are sent are copied and kept until they are acknowledged.
 * Bounds   quic_total_bytes_max; HTTP3_STREAMS_MAX streams, head_bytes_max for a head; beyond
 *          quic_retry_over handshakes under way in a shard, and for a hello that is not all in its
 *          first packet, a client has to prove its address first.
 * Source   RFC 9000, RFC 9001, RFC 9002, RFC 9114, RFC 9204, RFC 9220. */
#pragma once

#include <stdint.h>

#include "conn/datagrams.h"
#include "conn/shard.h"

extern const struct transport quic_transport;
extern const struct datagram_ops quic_datagrams;

enum {
    QUIC_CID_BYTES = 16, /* of our connection IDs: the shard's number, the tag, and random ones */
};

/* What all connections have in common. Returns NULL when memory is out. */
struct quic_library *quic_library_create(void);
/* Names this process in its connection IDs, so that the kernel finds it beside another one. */
uint16_t quic_library_tag(const struct quic_library *library);
/* Before there are connections: takes another one than that. */
void quic_library_tag_apart(struct quic_library *library, uint16_t other);
/* Accepts NULL. */
void quic_library_free(struct quic_library *library);
