/* datagrams: a shard's sockets for protocols over UDP, and how those come in from above.
 *
 *   socket ─► batch ─► ops.arrived, one by one
 *   alarms ─► ops.turn ─► datagram_room, datagram_send ─► batch ─► socket
 *
 * Idea     All peers of a protocol share one socket of the shard. The protocol finds its connection
 *          by what is in the datagram; to the slab that connection is a stream of a carrier that
 *          has no socket (carrier_port_open), and carries streams itself.
 * Threads  The shard's.
 * Memory   A batch to receive and one to send: 224 KiB for each socket.
 * Deadlines  Of alarms are held against datagrams_heard_ns: what a peer has sent in time may lie in
 *          the socket behind what others have, and a packet that seems lost is sent once more for
 *          nothing, when there is least time for it.
 * Batches  Datagrams of one connection that follow each other, equally long, leave as one entry,
 *          which the kernel or the device cuts (UDP_SEGMENT). Those of two are not joined though
 *          they go to one address: only a bench has many connections behind one, and it would
 *          measure what no user gets.
 * Bounds   DATAGRAMS_PER_TURN received in a turn; what the socket does not take is lost. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"

struct shard;

enum datagram_port {
    DATAGRAM_QUIC,
    DATAGRAM_RTC,
    DATAGRAM_PORTS,
};

enum {
    DATAGRAM_BYTES = 1500, /* the longest that is sent */
    DATAGRAM_ROOM = 2048,  /* the longest that is received */
    DATAGRAMS_PER_TURN = 1024,
};
#define DATAGRAM_NOBODYS UINT32_MAX
#define DATAGRAMS_BEHIND_NS                                                                        \
    INT64_C(100000000) /* the socket holds less than is taken in that time */

struct datagram_ops {
    /* Makes what the shard keeps for it: shard->datagrams.state[port]. Returns 0 or negative errno.
     */
    int (*create)(struct shard *shard);
    /* One has come; its bytes may be changed in place. */
    void (*arrived)(struct shard *shard, const struct ring_packet *packet);
    /* Once in a turn, before carriers are turned: what is due. Returns whether there is more. */
    bool (*turn)(struct shard *shard);
    /* When something is due; INT64_MAX: nothing is. */
    int64_t (*next_ns)(const struct shard *shard);
    /* Before the hub goes. The state may be NULL. */
    void (*free)(struct shard *shard);
};

struct datagram_batch;

struct datagrams {
    void *state[DATAGRAM_PORTS];
    struct datagram_batch *batches[DATAGRAM_PORTS]; /* NULL: there is no such socket */
};

/* Makes what the server's protocols keep. Returns 0 or negative errno. */
int datagrams_init(struct shard *shard);
void datagrams_done(struct shard *shard);

/* Serves on a bound socket, which stays the caller's. */
int shard_datagrams(struct shard *shard, enum datagram_port port, int fd);

/* Whether there is such a socket. */
bool datagrams_served(const struct shard *shard);

/* Something has arrived. */
void datagrams_arrived(struct shard *shard, uint32_t number, int32_t res);

/* What is due in this turn. Returns whether there is more to do at once. */
bool datagrams_turn(struct shard *shard);

/* Sends what is in the batches. */
void datagrams_flush(struct shard *shard);

/* Until when all that had come was taken; at most DATAGRAMS_BEHIND_NS ago, so that a flood holds up
 * no alarm for longer. For what goes off in ops.turn. */
int64_t datagrams_heard_ns(const struct shard *shard, enum datagram_port port);

/* How long nothing is due, at most `most_ns`. */
int64_t datagrams_wait_ns(const struct shard *shard, int64_t most_ns);

/* Room for the next datagram, DATAGRAM_BYTES. */
uint8_t *datagram_room(struct shard *shard, enum datagram_port port);

/* Queues what was written there. `whose` is the connection's slot, or DATAGRAM_NOBODYS; `local` is
 * where it is to come from, or unspecified. */
void datagram_send(struct shard *shard, enum datagram_port port, uint32_t whose, size_t len,
                   const struct sockaddr_in6 *peer, const struct in6_addr *local, uint8_t ecn);
