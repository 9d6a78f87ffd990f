/* ring_fake: a seeded kernel in memory behind the same table of functions as io_uring.
 *
 *   struct fake_net   one clock, one stream of random numbers, all connections
 *     ring A, ring B  ring_fake_create: what a shard or a client works with
 *     clients         fake_client_open: the other end of a connection, in the hands of the test
 *
 * Idea     Whatever a kernel may do by server/core/ring.h is drawn at random here: how much a send
 *          takes, when and in which order events come, which of an event and its cancellation wins,
 *          when an accept fails. The same seed draws the same; `fake_net_trace` proves it.
 * Clock    Virtual. Nothing here moves it but fake_net_advance: ring_wait takes what is due and
 *          returns, whatever its timeout. fake_net_due says when there will be something.
 * Rules    What ring.h forbids ends the process by an assertion: a watch while one is out in the
 *          same direction, ring_close with a watch out, a slot that is free, a batch that is too
 *          large, an empty buffer, a second ring_listen.
 * Threads  One for a net and everything in it.
 * Memory   A net is freed after its rings. Clients that are left then go with it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/ring.h"

struct fake_net;

/* A ring listens on whatever number it is given as a descriptor; a client that opens that number
 * reaches it. Nobody looks whether it is one. */
enum {
    FAKE_PORTS = 16, /* different ones in a net */
};

/* Chances are out of 1000. */
struct fake_config {
    uint64_t seed;
    uint32_t pipe_bytes_min; /* what one direction of a connection holds is drawn between these */
    uint32_t pipe_bytes_max;
    int64_t delay_ns_max;        /* from a cause to its event */
    unsigned send_short;         /* a send takes less than there is room for, perhaps nothing */
    unsigned receive_short;      /* a receive brings less than there is, perhaps nothing yet */
    unsigned accept_refused;     /* a connection is lost before it has a slot */
    unsigned reset;              /* an operation finds that the peer has just reset */
    bool shuffled;               /* events come in any order between slots */
    unsigned packet_lost;        /* a datagram does not arrive */
    unsigned packet_twice;       /* or does so twice */
    unsigned packet_cut;         /* or loses its end */
    unsigned packet_spoilt;      /* or one bit of it changes */
    int32_t joined_err;          /* what an entry of several datagrams comes to; 0: they leave */
    uint32_t packet_bytes_max;   /* a longer one alone comes to -EMSGSIZE; 0: any leaves */
    int64_t packet_delay_ns_max; /* each is under way for as long as is drawn, up to this */
};

/* No surprises: events at once and in order, sends as large as the room. */
struct fake_config fake_config_calm(void);
/* All of them. */
struct fake_config fake_config_wild(uint64_t seed);

struct fake_net *fake_net_create(const struct fake_config *config);
void fake_net_free(struct fake_net *net);

/* From here on other chances; the random numbers go on. */
void fake_net_configure(struct fake_net *net, const struct fake_config *config);

int64_t fake_net_now(const struct fake_net *net);
void fake_net_advance(struct fake_net *net, int64_t to_ns);

/* When the next event of any ring is due, or a wake; INT64_MAX: never. May be in the past. */
int64_t fake_net_due(const struct fake_net *net);

/* A hash over everything that rings have been told so far. */
uint64_t fake_net_trace(const struct fake_net *net);

/* Connections that are open at either end. */
uint32_t fake_net_open(const struct fake_net *net);

/* Next random number of the net, for a test that wants no second seed. */
uint64_t fake_net_random(struct fake_net *net);

/* A ring in the net, of exactly `capacity` slots; freed with ring_free. */
struct ring *ring_fake_create(struct fake_net *net, const struct ring_config *config);

/* As fake_net_due, for one ring: when its wait would end. */
int64_t ring_fake_due(const struct ring *ring);

/* The test's end of datagrams, at an address. A ring's datagram socket has the number that it was
 * opened with as its port, and any address. What is sent to where nobody is, is lost. */
struct fake_udp;
struct fake_udp *fake_udp_open(struct fake_net *net, struct sockaddr_in6 address);
void fake_udp_close(struct fake_udp *udp);
/* From here on it has another address, as behind a NAT that has forgotten it. What is under way to
 * the old one is lost. */
void fake_udp_move(struct fake_udp *udp, struct sockaddr_in6 address);
/* What rings have taken from its address, and what they have sent there, in bytes, since it has it:
 * lost ones too. A server sends at most three times as much to an address as came from there, until
 * it knows that the peer is at it (RFC 9000, 8.1). */
uint64_t fake_udp_taken(const struct fake_udp *udp);
uint64_t fake_udp_given(const struct fake_udp *udp);
/* To a ring's port; `ecn` arrives with it. */
void fake_udp_send(struct fake_udp *udp, int fd, const void *data, size_t size, uint8_t ecn);
/* The next that has arrived: its size, or -EAGAIN. */
ssize_t fake_udp_receive(struct fake_udp *udp, void *data, size_t size, uint8_t *ret_ecn);
/* When the next one arrives; INT64_MAX: none is under way. */
int64_t fake_udp_due(const struct fake_udp *udp);

/* Which of several sockets on one port gets a datagram, as a program of SO_ATTACH_REUSEPORT_CBPF
 * would; without one it goes by the peer's port. */
void fake_net_route(struct fake_net *net,
                    unsigned (*route)(const void *data, size_t size, unsigned sockets));

/* The test's end of a connection. Opening one puts it into the port's backlog, whether or not a
 * ring listens. Nothing blocks: a count, 0 at the end of the stream, -EAGAIN, -ECONNRESET or
 * -EPIPE. A client is gone after close or reset. */
struct fake_client;
struct fake_client *fake_client_open(struct fake_net *net, int fd);
/* From an address: fake_client_open is from ::1. */
struct fake_client *fake_client_open_from(struct fake_net *net, int fd, struct in6_addr address);
ssize_t fake_client_write(struct fake_client *client, const void *data, size_t size);
ssize_t fake_client_read(struct fake_client *client, void *data, size_t size);
/* True when a read would not say -EAGAIN. */
bool fake_client_readable(const struct fake_client *client);
/* The accept that it woke was cancelled before it ran, as that of a process that goes away: it
 * waits in the backlog until another comes to that port, or a ring begins to listen there. */
void fake_client_miss(struct fake_net *net, const struct fake_client *client);
/* True while it is in the backlog. */
bool fake_client_waits(const struct fake_client *client);
/* Who has accepted it. Returns false when nobody has, or when that end is closed. */
bool fake_client_slot(const struct fake_client *client, const struct ring **ret_ring,
                      uint32_t *ret_slot);
/* Sends FIN, and goes on reading. */
void fake_client_shutdown(struct fake_client *client);
void fake_client_close(struct fake_client *client);
void fake_client_reset(struct fake_client *client);
