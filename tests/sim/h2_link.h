/* h2_link: a client's end of a stream of HTTP/2: HTTP/1.1 above, a connection that it shares with
 * other clients below.
 *
 *   client ─ HTTP/1.1 ─► h2_link ─┐
 *   client ─ HTTP/1.1 ─► h2_link ─┼─ h2_road: nghttp2 ─► a fake connection
 *   client ─ HTTP/1.1 ─► h2_link ─┘
 *
 * Idea     As fake_client_write and fake_client_read, for a client that does not know: so the same
 *          clients ask, and the same ledger judges. A request becomes a stream, an upgrade an
 *          extended CONNECT; the answer becomes one of HTTP/1.1 again. A client has one stream at
 *          a time; what it asks behind it waits.
 *          The road has troubles of its own: it is reset, stalls, vanishes with all who are on it,
 *          gives windows of nothing, resets streams at once, floods a little, and talks nonsense.
 * Memory   A road goes with its last client. */
#pragma once

#include "client.h"

struct h2_road;
struct h2_link;

/* A stream to that shard, on a road that is there or on a new one. */
struct h2_link *h2_link_open(struct client *client, unsigned shard);
/* Ends it: by the reset of its stream, or as a client does that has nothing more to say. */
void h2_link_reset(struct h2_link *link);
void h2_link_close(struct h2_link *link);

/* The road goes on: writes and reads, or has its troubles. */
void h2_link_go(struct h2_link *link);

/* A count; or -EAGAIN, or 0 at the end. */
ssize_t h2_link_write(struct h2_link *link, const char *bytes, size_t size);
ssize_t h2_link_read(struct h2_link *link, char *bytes, size_t size);

/* The connection below; NULL when that is over. */
struct fake_client *h2_link_end(const struct h2_link *link);

/* What waits at the server for this stream and for its connection. */
uint64_t h2_link_queued(const struct h2_link *link);
