/* http2: HTTP/2 (RFC 9113) on a connection, and WebSockets on its streams (RFC 8441), by
 * libnghttp2: bytes in, bytes out, and one line for each stream.
 *
 *   socket ─► http2_transport.input ─► nghttp2 ─┬─ a head is whole ─► a stream's line ─► http/
 *                                               ├─ DATA ─► its transport
 *                                               └─ closed ─► conn_end
 *   a stream's queue ─► carrier_ops.turn ─► nghttp2: windows, order, frame heads ─► socket's line
 *
 * Idea     The library has the protocol; lines have what waits, and who is slow. A frame's payload
 *          never passes through the library: it is asked how much may go, and told that it went.
 * Threads  The shard's. The library's settings are made once and read by all.
 * Memory   A session, counted as the library takes it (http2_memory.h), and what is in
 *          http2_internal.h. A head is on the heap while it is received.
 * Bounds   http2_streams_max streams, head_bytes_max for a head, http2_resets_per_s,
 *          http2_total_bytes_max, and those of http2_floods.h, each with a name.
 * Source   RFC 9113, RFC 7541, RFC 8441, RFC 9218 (the library orders by it). */
#pragma once

#include "conn/shard.h"

extern const struct transport http2_transport;

/* What all sessions have in common. Returns NULL when memory is out. */
struct http2_library *http2_library_create(void);
/* Accepts NULL. */
void http2_library_free(struct http2_library *library);
