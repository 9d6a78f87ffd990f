/* relay: a path with a round-trip time between clients and a server, where the kernel has none.
 *
 *     client ══► fds[0] ══ pipe 0: waits rtt/2 ══► fds[1] ══► server
 *            ◄══        ══ pipe 1: waits rtt/2 ══◄        ◄══
 *
 * Idea     Bytes are read as soon as they come, and written half a round trip later, in order. A
 *          new connection's first bytes also wait for the round trip that a TCP handshake takes,
 *          since loopback makes it take none. An end of stream and a reset travel as bytes do.
 * Threads  one: relay_run's.
 * Memory   all mapped in relay_create, touched as connections use it: for each direction
 *          window_bytes and RELAY_MARKS marks.
 * Bounds   `connections`; more are reset and counted as refused. A direction holds window_bytes
 *          and RELAY_MARKS reads: a full one is not read from, and so slows its sender down. At
 *          150 ms round trip a window of 64 KiB carries 870 KB/s.
 * Accuracy `late` has, for each read, how long after its time it was written. What the relay adds
 *          before (until it has read) is not in it. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"

struct relay;

enum {
    RELAY_MARKS = 512,
    RELAY_CONNECTIONS_MAX = 65536,
    RELAY_WINDOW_MAX = 16 * 1024 * 1024,
};

struct relay_config {
    struct sockaddr_in to;
    int64_t rtt_ns;        /* half of it each way */
    int64_t jitter_ns;     /* each read waits up to so much longer; evenly spread */
    uint64_t seed;         /* of the jitter */
    uint32_t connections;  /* 1 to RELAY_CONNECTIONS_MAX */
    uint32_t window_bytes; /* a power of two up to RELAY_WINDOW_MAX */
};

struct relay_stats {
    uint64_t accepted;
    uint64_t refused;     /* no place for them */
    uint64_t unreachable; /* the server did not accept */
    uint64_t bytes[2];    /* to the server, to the clients */
    uint64_t full;        /* times that a direction had no room to read into */
};

/* `listen_fd` stays the caller's. Returns 0 or negative errno. */
int relay_create(struct relay **ret, const struct relay_config *config, int listen_fd);

/* Relays until *stop is set; a signal ends the wait. Returns 0 or negative errno. */
int relay_run(struct relay *relay, const volatile bool *stop);

/* Resets what is open. Accepts NULL. */
void relay_free(struct relay *relay);

const struct relay_stats *relay_stats(const struct relay *relay);
const struct histogram *relay_late(const struct relay *relay);
