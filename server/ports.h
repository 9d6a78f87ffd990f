/* ports: where this server listens, with a socket for each shard.
 *
 * Threads  main's, before the shards start; constant afterwards.
 * Memory   the caller's. The descriptors are the shards' once they have them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conn/datagrams.h"
#include "core/ring.h"
#include "hub/hub.h"
#include "listener.h"
#include "wire/span.h"

struct settings;

struct ports {
    struct port {
        bool open;      /* is listened on */
        bool inherited; /* by sockets that somebody else has opened */
        bool kept;      /* by systemd, which listens when this process has gone */
        struct listen_address address;
        int fds[HUB_SHARDS_MAX]; /* by shard */
    } of[RING_LISTENERS_MAX];    /* by enum listener */
    struct udp_port {
        bool open;
        bool joins;                       /* a predecessor has such a port, too */
        int fds[HUB_SHARDS_MAX];          /* likewise; they stay open until ports_close */
        uint16_t numbers[HUB_SHARDS_MAX]; /* of WebRTC: a port for each */
    } udp[DATAGRAM_PORTS];                /* by enum datagram_port */
    bool routed;                          /* of QUIC, by the kernel, to the shard */
    uint16_t tag;                         /* of this process's QUIC connections */
    uint16_t predecessor_tag;             /* of those of the one whose port QUIC joins */
};

/* Reads listen, tls_listen and admin_listen. Returns 0 or negative errno with `why`. */
int ports_read(struct ports *ret, const struct settings *settings, char *why, size_t why_size);

/* Opens the sockets; those of QUIC that join a predecessor's get nothing yet. Returns 0 or negative
 * errno with `why`; the process is about to end then. */
int ports_open(struct ports *ports, const struct settings *settings, unsigned shards, char *why,
               size_t why_size);

/* QUIC's get all but what is a connection's of the predecessor. Returns 0 or negative errno with
 * `why`. */
int ports_take_over(struct ports *ports, unsigned shards, char *why, size_t why_size);

/* QUIC's get all, since the predecessor has ended. */
void ports_take_all(const struct ports *ports, unsigned shards);

/* Behind the shards: closes QUIC's, so that those of a successor get their numbers in order. */
void ports_close(const struct ports *ports, unsigned shards);

enum {
    ALT_SVC_MAX = 64,
};

/* The field that tells clients with TLS of HTTP/3, with CRLF; empty when that is not spoken. */
struct span ports_alt_svc(const struct ports *ports, char area[ALT_SVC_MAX]);

/* Prints their URLs. */
void ports_announce(const struct ports *ports);

/* Whether clients can come from other machines. */
bool ports_open_to_others(const struct ports *ports);
