/* h3_link: a client's end of a stream of HTTP/3: HTTP/1.1 above, a connection of QUIC that it
 * shares with other clients below.
 *
 *   client ─ HTTP/1.1 ─► h3_link ─┐
 *   client ─ HTTP/1.1 ─► h3_link ─┼─ h3_road: ngtcp2 ─► datagrams of the fake network
 *   client ─ HTTP/1.1 ─► h3_link ─┘
 *
 * Idea     As h2_link.h, over a network that loses, doubles, cuts, spoils and reorders. The road
 *          has troubles of its own: it gets another address, stalls, vanishes, floods a little, and
 *          talks nonsense. It holds the server to what RFC 9000 section 8 lets it send to an
 *          address before somebody has proved to be there.
 * Memory   A road goes with its last client. */
#pragma once

#include "client.h"

struct h3_road;
struct h3_link;

enum {
    H3_PORT = 4433, /* of all shards */
};

/* Whatever the libraries draw follows from the seed. */
void h3_random_seed(uint64_t seed);

/* A stream on a road that is there or on a new one. */
struct h3_link *h3_link_open(struct client *client);
/* Ends it: by its reset, or as a client does that has nothing more to say. */
void h3_link_reset(struct h3_link *link);
void h3_link_close(struct h3_link *link);

/* The road goes on: reads and writes, or has its troubles. */
void h3_link_go(struct h3_link *link);

/* A count; or -EAGAIN, or 0 at the end. */
ssize_t h3_link_write(struct h3_link *link, const char *bytes, size_t size);
ssize_t h3_link_read(struct h3_link *link, char *bytes, size_t size);
