/* ring_epoll: what the files of the epoll engine share. Nobody else includes this.
 *
 *   slot ─► descriptor, flags        epoll ─┬─ every socket, edge-triggered, from accept to close
 *   0      7   watched, ready               ├─ the listening sockets, level-triggered
 *   1      9   …                            ├─ datagram sockets, edge-triggered
 *                                           └─ the bell
 *
 * Idea     A socket is registered once, and what epoll says of it is remembered in its slot. A
 *          watch on a socket that is known to be ready fires at the next ring_wait; any other waits
 *          for the edge. So the way of a request, watch ─► receive ─► watch, makes one system call
 *          per socket: the receive. One-shot registrations would make a second, to arm again.
 * Ready    is forgotten when the kernel has shown that it is over: a receive that got less than it
 *          had room for, or EAGAIN; a send that was short. Anything that comes later is a new edge.
 *          A short receive proves nothing once the peer has hung up, or has sent urgent data, at
 *          whose mark a receive stops: then only EAGAIN does.
 * Writing  A socket that never was full is not registered for writing: that would report every new
 *          connection once for nothing. The first watch for RING_WRITE does it, for good. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/ring.h"
#include "core/ring_queue.h"

enum {
    EPOLL_EVENTS_PER_WAIT = 1024,
    EPOLL_ACCEPTS_PER_WAIT = 256,
    EPOLL_SPARE_SHARE = 8, /* slots beyond the capacity asked for: 1/8, so that who comes above it
                              can be told so */
};

#define EPOLL_READ_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLPRI)

enum epoll_slot_flag {
    SLOT_OPEN = 1 << 0,
    SLOT_WATCH_READ = 1 << 1, /* an event is due */
    SLOT_WATCH_WRITE = 1 << 2,
    SLOT_READY_READ = 1 << 3, /* as far as is known */
    SLOT_READY_WRITE = 1 << 4,
    SLOT_SEES_WRITE = 1 << 5, /* registered for writing, too */
    SLOT_SHORT_IS_NO_END = 1 << 6,
};

struct epoll_slot {
    int32_t fd; /* of a free slot: the next free one, or EPOLL_SLOT_NONE */
    uint32_t flags;
};

#define EPOLL_SLOT_NONE (-1)

struct epoll_listener {
    int fd;          /* -1: does not listen */
    bool registered; /* there is a free slot */
};

struct ring_epoll {
    struct ring base;
    int epoll_fd;
    int bell; /* eventfd: ring_wake. Edge-triggered, so it is never read */

    struct epoll_listener listeners[RING_LISTENERS_MAX];

    struct epoll_slot *slots;
    int32_t free_head;   /* closed slots, last closed first */
    uint32_t slots_high; /* slots below it have been used */

    struct ring_queue queue;
    uint32_t due; /* events of the queue that ring_next may give: those of the last ring_wait */
    struct epoll_event events[EPOLL_EVENTS_PER_WAIT];
};

/* What a registration is for: a slot, or one of these. */
#define EPOLL_TAG_BELL     UINT64_MAX
#define EPOLL_TAG_LISTENER (UINT64_MAX - RING_LISTENERS_MAX) /* and those that follow it */
#define EPOLL_TAG_PACKETS  (EPOLL_TAG_LISTENER - RING_PACKET_SOCKETS_MAX)

extern const struct ring_engine ring_epoll_engine;
void ring_epoll_free(struct ring *base);

/* ring_epoll_packets.c */
int ring_epoll_packets_open(struct ring *base, unsigned number, int fd);
void ring_epoll_packets_watch(struct ring *base, unsigned number);
void ring_epoll_packets_ready(struct ring_epoll *ring, unsigned number, uint32_t events);

/* ring_epoll_accept.c */
int ring_epoll_listen(struct ring *base, unsigned listener, int fd);
void ring_epoll_listen_stop(struct ring *base);
void ring_epoll_accept(struct ring_epoll *ring, unsigned listener);
void ring_epoll_close(struct ring *base, uint32_t slot);

/* epoll_ctl, counted. Returns 0 or negative errno. */
int ring_epoll_control(struct ring_epoll *ring, int operation, int fd, uint32_t events,
                       uint64_t tag);
