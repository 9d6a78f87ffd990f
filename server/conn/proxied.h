/* proxied: connections on a listener that expects the PROXY protocol, until their header is there.
 *
 *   accepted ─► LINK_PROXY ─► header, to its last byte ─┬─ names a client ─► client_named
 *                                                       ├─ LOCAL, UNKNOWN ─► nobody's
 *                                                       └─ is none, or late ─► closed
 *
 * Idea     No more is received than must belong to the header, so what follows it is received when
 *          the connection is as any other: a ClientHello waits for its turn as ever.
 * Threads  The shard's.
 * Memory   What has come of a header is in conn_extra.
 * Bounds   PROXY_HEAD_MAX bytes, and the time that a request head has, or a TLS handshake. */
#pragma once

#include <stddef.h>

struct conn;
struct shard;

void proxied_accepted(struct shard *shard, struct conn *conn);

/* How many bytes may be received. */
size_t proxied_room(const struct conn *conn);

void proxied_input(struct shard *shard, struct conn *conn, const char *bytes, size_t len);

/* The header has taken too long. */
void proxied_timer(struct shard *shard, struct conn *conn);
