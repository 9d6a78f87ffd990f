/* ring: a shard's window on the kernel. Everything above sees numbered sockets ("slots"), events,
 * and batches of sends and receives; only the files behind this header know how a kernel does it.
 *
 *     ring_packets_watch ─► RING_PACKETS ─► ring_packets_receive(batch) ─► watch again
 *     ring_packets_send(batch) ─► each entry's `res`; what is not taken is lost
 *
 *     accept ─► RING_ACCEPTED slot, and on which listener
 *     ring_watch(slot, RING_READ) ─► RING_READABLE slot, once ─► ring_receive(batch) ─► watch again
 *     ring_send(batch) ─► each entry's `res`; short or -EAGAIN ─► ring_watch(slot, RING_WRITE)
 *
 * Idea     A parked connection costs the kernel one armed one-shot poll (266 bytes) and nothing
 *          else. Data moves in synchronous batches of non-blocking operations: one system call
 *          submits hundreds, and when it returns every result is known. No buffer is lent to the
 *          kernel across turns, so no send has a completion to wait for and no buffer ring can run
 *          dry. docs/decisions/parked-polls.md compares this with armed receives.
 * Engines  ring_uring (io_uring) serves, on direct descriptors where the kernel gives closed ones
 *          back at once, else on ordinary ones; ring_epoll serves where io_uring is forbidden;
 *          ring_fake (tests/unit/core) is a seeded kernel for the simulation. An engine is a table
 *          of functions, chosen at creation.
 * Threads  A ring belongs to one thread, from its first use on. Only ring_wake may be called by
 *          others.
 * Slots    0 … capacity-1. An accepted socket's slot is chosen by the ring. A direct descriptor
 *          never becomes a file descriptor of the process; on epoll, and on io_uring's ordinary
 *          descriptors, a slot has one. A slot is free again when ring_close has been called for
 *          it.
 * Packets  A ring has a few datagram sockets beside its slots, numbered by themselves: they are
 *          descriptors of the caller, as listening ones are. docs/decisions/datagrams.md.
 * Watches  Every ring_watch gives exactly one event, also after ring_unwatch (res is then
 *          -ECANCELED) and after a hang-up. ring_shutdown counts as a watch for RING_WRITE.
 *          ring_close is only allowed when no watch of the slot is outstanding.
 * Errors   0 or a count; negative errno. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;
struct msghdr;

enum ring_event_kind {
    RING_ACCEPTED, /* slot: the new connection; res: the number of its listener                 */
    RING_REFUSED,  /* res: why a connection was lost before it had a slot (-ENFILE, -EMFILE, …) */
    RING_CONNECTED, /* slot, res: 0 or why ring_connect failed; on failure the slot is free again */
    RING_READABLE,  /* slot, res: poll(2) events, or negative errno                              */
    RING_WRITABLE,  /* slot, res: likewise                                                       */
    RING_PACKETS,   /* slot: the number of the datagram socket; res: poll(2) events or likewise  */
};

struct ring_event {
    enum ring_event_kind kind;
    uint32_t slot;
    int32_t res;
};

enum ring_direction {
    RING_READ,
    RING_WRITE,
};

/* One entry of a batch. `iov` is the data, or where to put it; when `msg` is set, its vector is
 * sent instead. */
struct ring_io {
    uint32_t slot;
    int32_t res; /* out: bytes moved, or negative errno; -EAGAIN when the socket would block */
    struct iovec iov;
    const struct msghdr *msg;
};

/* One datagram of a batch. Addresses are those of IPv6, with IPv4 mapped into it, whatever the
 * socket is. */
struct ring_packet {
    struct iovec iov; /* the payload; to receive: where to put it */
    int32_t res;      /* out: bytes, or negative errno; -EMSGSIZE: longer than its room, or
                                 than the way lets through; -EAGAIN: the socket is full */
    uint16_t segment; /* to send: the payload is several datagrams of so many bytes each, the
                                 last one perhaps shorter (UDP_SEGMENT); 0: it is one */
    uint8_t ecn;      /* RFC 3168, two bits */
    struct sockaddr_in6 peer; /* where it came from, or goes to */
    struct in6_addr local;    /* what it was sent to, or is to come from; to send, unspecified is
                                 the kernel's choice */
};

/* What one ring may hold in flight. Kernel memory for a ring grows with these. */
enum {
    RING_BATCH_MAX = 4096, /* entries in one ring_send or ring_receive */
    RING_LISTENERS_MAX = 3,
    RING_PACKET_SOCKETS_MAX = 4,
    RING_PACKETS_MAX = 64, /* entries in one ring_packets_send or ring_packets_receive */
};

struct ring_config {
    uint32_t capacity; /* slots; rounded up to what the engine's tables hold */
    bool client;       /* slots are chosen by the caller of ring_connect, nothing is accepted;
                          io_uring only */
    bool peers;        /* tells from where each connection was accepted: ring_peer */
};

struct ring_stats {
    uint64_t enters;    /* system calls made for this ring                          */
    uint64_t sends;     /* entries sent                                             */
    uint64_t receives;  /* entries received                                         */
    uint64_t overflows; /* completions that the kernel had to keep aside for a turn */
    uint32_t tables;    /* kernel rings behind this one; 0 on epoll                 */
    uint32_t slots_used;
};

struct ring_engine {
    const char *name;
    int (*listen)(struct ring *ring, unsigned listener, int fd);
    void (*listen_stop)(struct ring *ring);
    int (*wait)(struct ring *ring, int64_t timeout_ns);
    int (*gather)(struct ring *ring, int64_t gather_ns, int64_t timeout_ns); /* NULL: by a pause */
    bool (*next)(struct ring *ring, struct ring_event *event);
    void (*watch)(struct ring *ring, uint32_t slot, enum ring_direction direction);
    void (*unwatch)(struct ring *ring, uint32_t slot, enum ring_direction direction);
    void (*send)(struct ring *ring, struct ring_io *io, unsigned count);
    void (*receive)(struct ring *ring, struct ring_io *io, unsigned count);
    void (*shutdown)(struct ring *ring, uint32_t slot);
    void (*close)(struct ring *ring, uint32_t slot);
    void (*connect)(struct ring *ring, uint32_t slot, const struct sockaddr_in *from,
                    const struct sockaddr_in *to);
    void (*abort)(struct ring *ring, uint32_t slot);
    int (*packets_open)(struct ring *ring, unsigned number, int fd);
    void (*packets_watch)(struct ring *ring, unsigned number);
    unsigned (*packets_receive)(struct ring *ring, unsigned number, struct ring_packet *packets,
                                unsigned count);
    void (*packets_send)(struct ring *ring, unsigned number, struct ring_packet *packets,
                         unsigned count);
    void (*wake)(struct ring *ring);
    void (*free)(struct ring *ring);
};

struct ring {
    const struct ring_engine *engine;
    uint32_t capacity;
    struct in6_addr *peers;              /* by slot; NULL without ring_config.peers */
    struct ring_packet_sockets *packets; /* of the engines on a kernel; NULL: none is open */
    struct ring_stats stats;
};

/* What the running kernel offers. */
struct ring_features {
    bool usable;          /* DEFER_TASKRUN, multishot accept: Linux 6.1 */
    bool direct;          /* a closed direct descriptor ends at once: Linux 6.13 */
    bool bind_direct;     /* IORING_OP_BIND: Linux 6.11 */
    unsigned table_slots; /* direct descriptors in one kernel ring, from RLIMIT_NOFILE */
};

/* Asks the running kernel, and tries it out: once for a process, at 20 ms where it is late with a
 * close. Returns 0, or negative errno with a sentence in `why` (at most `why_size` bytes) that
 * names the likely cause and what to change. */
int ring_probe(struct ring_features *features, char *why, size_t why_size);

/* Whether ring_uring_create makes sockets that are no descriptors of the process. */
bool ring_is_direct(void);

/* Makes a ring on io_uring, on the kind of descriptors that is right here. Call it on the thread
 * that will use the ring. Returns 0 and the ring, which the caller frees with ring_free, or
 * negative errno with `why` filled. */
int ring_uring_create(struct ring **ret, const struct ring_config *config, char *why,
                      size_t why_size);

/* The same on ordinary descriptors, on any kernel. Every socket is then a descriptor of the
 * process: ring_descriptors_raise says how many it may have. */
int ring_uring_fd_create(struct ring **ret, const struct ring_config *config, char *why,
                         size_t why_size);

/* Makes a ring on epoll, which needs no more than any Linux has; likewise. Every accepted socket is
 * a descriptor of the process: ring_descriptors_raise says how many it may have. What the two
 * engines have in common is the contract above; the differences are in the numbers of system calls
 * (one per entry of a batch) and of connections. */
int ring_epoll_create(struct ring **ret, const struct ring_config *config, char *why,
                      size_t why_size);

/* Raises the soft limit of descriptors to the hard one, and returns it. Every engine needs it: on
 * io_uring it bounds the table of one kernel ring. */
uint64_t ring_descriptors_raise(void);

static inline void ring_free(struct ring *ring)
{
    if (ring)
        ring->engine->free(ring);
}

/* Accepts from the listening socket `fd`, as listener 0 … RING_LISTENERS_MAX-1, until
 * ring_listen_stop: RING_ACCEPTED and RING_REFUSED events follow, and an accept that was under way
 * may still arrive after ring_listen_stop. A refusal for want of descriptors or memory will repeat
 * at once: the caller stops for a while. The descriptor stays the caller's. */
static inline int ring_listen(struct ring *ring, unsigned listener, int fd)
{
    return ring->engine->listen(ring, listener, fd);
}

/* Stops all listeners. */
static inline void ring_listen_stop(struct ring *ring)
{
    ring->engine->listen_stop(ring);
}

/* The address that an accepted socket came from, an IPv4 one mapped into IPv6; until the slot is
 * closed. Only of a ring with ring_config.peers. It costs no system call: the accept brings it. */
static inline const struct in6_addr *ring_peer(const struct ring *ring, uint32_t slot)
{
    return &ring->peers[slot];
}

/* Submits what is queued, then waits until there is an event, a ring_wake, or `timeout_ns` is over
 * (0: does not wait). Returns 0 or negative errno; -EINTR is not an error and returns 0. */
static inline int ring_wait(struct ring *ring, int64_t timeout_ns)
{
    return ring->engine->wait(ring, timeout_ns);
}

/* The same, but gives events `gather_ns` to come together before it looks, and then waits for one
 * if there is none yet. `gather_ns` is less than `timeout_ns`. */
int ring_gather(struct ring *ring, int64_t gather_ns, int64_t timeout_ns);
/* The way of an engine that has no other: sleeps, then waits. */
int ring_pause(struct ring *ring, int64_t gather_ns, int64_t timeout_ns);

/* Takes the next event. Returns false when there is none left: then ring_wait may bring more. */
static inline bool ring_next(struct ring *ring, struct ring_event *event)
{
    return ring->engine->next(ring, event);
}

static inline void ring_watch(struct ring *ring, uint32_t slot, enum ring_direction direction)
{
    ring->engine->watch(ring, slot, direction);
}

static inline void ring_unwatch(struct ring *ring, uint32_t slot, enum ring_direction direction)
{
    ring->engine->unwatch(ring, slot, direction);
}

/* Sends every entry without blocking and sets its `res`. At most RING_BATCH_MAX entries. The
 * buffers are the caller's again when it returns. A short count means that the socket is full:
 * watch for RING_WRITE. */
static inline void ring_send(struct ring *ring, struct ring_io *io, unsigned count)
{
    ring->engine->send(ring, io, count);
}

/* Receives into every entry's `iov` without blocking and sets its `res`; 0 is the peer's end of
 * stream. */
static inline void ring_receive(struct ring *ring, struct ring_io *io, unsigned count)
{
    ring->engine->receive(ring, io, count);
}

/* Says FIN behind all that was sent, and goes on receiving; nothing may be sent after it. One
 * RING_WRITABLE follows, with a negative errno where there was nobody to say it to: io_uring leaves
 * a shutdown to a kernel worker, who looks for the slot only then. ring_unwatch does not call it
 * back. */
static inline void ring_shutdown(struct ring *ring, uint32_t slot)
{
    ring->engine->shutdown(ring, slot);
}

/* Closes the slot. The peer sees FIN, or RST when it had sent bytes that nobody read. */
static inline void ring_close(struct ring *ring, uint32_t slot)
{
    ring->engine->close(ring, slot);
}

/* Opens a TCP connection in a free slot from exactly the given source address and port (port 0:
 * any). RING_CONNECTED follows. */
static inline void ring_connect(struct ring *ring, uint32_t slot, const struct sockaddr_in *from,
                                const struct sockaddr_in *to)
{
    ring->engine->connect(ring, slot, from, to);
}

/* Resets a connection, so that neither side keeps it in TIME_WAIT, nor what the peer has not taken.
 * A watch on it then fires; ring_close is still due. */
static inline void ring_abort(struct ring *ring, uint32_t slot)
{
    ring->engine->abort(ring, slot);
}

/* Takes a bound UDP socket that does not block as number 0 … RING_PACKET_SOCKETS_MAX-1, and asks
 * the kernel for what is in a ring_packet. The descriptor stays the caller's, and is open for as
 * long as the ring. Returns 0 or negative errno. */
static inline int ring_packets_open(struct ring *ring, unsigned number, int fd)
{
    return ring->engine->packets_open(ring, number, fd);
}

/* One RING_PACKETS event follows when there is something to receive, or when a batch took exactly
 * what was there. Not while one is out. */
static inline void ring_packets_watch(struct ring *ring, unsigned number)
{
    ring->engine->packets_watch(ring, number);
}

/* Receives up to `count` datagrams, without blocking, at most RING_PACKETS_MAX. Returns how many;
 * fewer than `count` means that no more were there. An entry with a negative `res` is to be
 * skipped. */
static inline unsigned ring_packets_receive(struct ring *ring, unsigned number,
                                            struct ring_packet *packets, unsigned count)
{
    return ring->engine->packets_receive(ring, number, packets, count);
}

/* Sends every entry without blocking and sets its `res`; at most RING_PACKETS_MAX. What is not
 * taken is lost, as it may be anywhere on its way. The buffers are the caller's again when it
 * returns. */
static inline void ring_packets_send(struct ring *ring, unsigned number,
                                     struct ring_packet *packets, unsigned count)
{
    ring->engine->packets_send(ring, number, packets, count);
}

/* Ends the current or the next ring_wait. Any thread. */
static inline void ring_wake(struct ring *ring)
{
    ring->engine->wake(ring);
}
