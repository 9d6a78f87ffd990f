/* ring_fake_net: what the files of the fake kernel share: ends, pipes, ports.
 *
 *   end ── in: bytes on their way to this end ──┐       An end belongs to a slot of a ring, or is a
 *    └──────────────── peer ────────────────────┴ end   client of the test. It is freed when it
 * closes. */
#pragma once

#include "ring_fake.h"

enum watch_state {
    WATCH_NONE,
    WATCH_OUT,  /* waits for its cause */
    WATCH_DONE, /* its event is on its way */
};

struct fake_pipe {
    uint8_t *bytes;
    uint32_t size;
    uint32_t head;
    uint32_t count;
    bool fin; /* nothing follows what is in it */
};

struct fake_end {
    struct fake_net *net;
    struct fake_end *next, *previous; /* of all ends of the net */
    struct fake_end *peer;            /* NULL: closed */
    struct fake_pipe in;
    struct fake_ring *ring; /* NULL: a client of the test, or in a backlog */
    uint32_t slot;
    enum watch_state watches[2]; /* by ring_direction */
    int err;                     /* of a reset, until it is reported */
    bool reset;
    bool fin_sent;
    struct in6_addr address; /* of the other end: what ring_peer tells */
    struct sockaddr_in from; /* ring_connect: taken while the end lives */
};

struct fake_client {
    struct fake_end end;
};

/* A connection that waits to be accepted. */
struct fake_arrival {
    struct fake_end *end;
    int64_t due_ns; /* INT64_MAX: it has woken nobody */
};

struct fake_port {
    int fd;
    struct fake_arrival *arrivals;
    uint32_t count;
    uint32_t size;
};

enum {
    FAKE_SPARES = 4,
};

struct fake_net {
    struct fake_config config;
    uint64_t random;
    uint64_t trace;
    int64_t now_ns;
    uint32_t open; /* connections with at least one end */
    struct fake_ring *rings;
    struct fake_end *ends;
    struct fake_udp *sockets; /* in the order in which they were bound */
    unsigned (*route)(const void *data, size_t size, unsigned sockets);
    struct fake_port ports[FAKE_PORTS];
    unsigned port_count;
    /* Of connections that are over, for the next: large ones are dear to make. */
    struct fake_pipe spares[FAKE_SPARES];
    unsigned spare_count;
};

bool fake_chance(struct fake_net *net, unsigned permille);
uint64_t fake_below(struct fake_net *net, uint64_t bound);
int64_t fake_soon(struct fake_net *net);
void fake_trace(struct fake_net *net, uint64_t value);

/* Makes a connection; the caller gives the ends their owners. */
struct fake_end *fake_end_pair(struct fake_net *net);
/* The place of a descriptor among the ports; made when it is new. */
unsigned fake_port_of(struct fake_net *net, int fd);
void fake_arrive(struct fake_net *net, unsigned port, struct fake_end *end);
/* Whoever looks at the backlog finds those, too, that have woken nobody. */
void fake_backlog_look(struct fake_net *net, unsigned port);
/* Takes the first arrival that is due; NULL when there is none. */
struct fake_end *fake_arrival_take(struct fake_net *net, unsigned port);
int64_t fake_arrival_due(const struct fake_net *net, unsigned port);

ssize_t fake_end_send(struct fake_end *end, const void *data, size_t size);
ssize_t fake_end_receive(struct fake_end *end, void *data, size_t size);
void fake_end_shutdown(struct fake_end *end);
/* Both sides of the connection are told; `end` itself lives on. */
void fake_end_reset(struct fake_end *end);
/* Says FIN, or RST over unread bytes, and frees the end. */
void fake_end_close(struct fake_end *end);

/* poll(2) events that hold now. */
int32_t fake_end_poll(const struct fake_end *end, enum ring_direction direction);

/* ring_fake_packets.c: a ring's socket on a port, which several rings may have. */
struct fake_udp *fake_udp_bind(struct fake_net *net, int fd);
void fake_udp_watch(struct fake_udp *socket);
/* Whether its watch is over now. */
bool fake_udp_fires(struct fake_udp *socket);
/* Receives one; returns false when none is due. */
bool fake_udp_take(struct fake_udp *socket, struct ring_packet *packet);
void fake_udp_give(struct fake_udp *socket, struct ring_packet *packet);

/* ring_fake.c: fires the watches that have a cause now. */
void fake_ring_notice(struct fake_end *end);
int64_t fake_ring_due(const struct fake_ring *ring);
struct fake_ring *fake_ring_next(const struct fake_ring *ring);
const struct ring *fake_ring_base(const struct fake_ring *ring);
