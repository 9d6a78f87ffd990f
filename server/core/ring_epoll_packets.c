/* ring_epoll_packets: datagram sockets on epoll, registered once, like those of connections. */
#include <assert.h>
#include <poll.h>

#include "core/ring_epoll.h"
#include "core/ring_packets.h"

int ring_epoll_packets_open(struct ring *base, unsigned number, int fd)
{
    int err = ring_packet_socket_open(base, number, fd);
    if (err < 0)
        return err;
    return ring_epoll_control((struct ring_epoll *)base, EPOLL_CTL_ADD, fd,
                              EPOLLIN | (uint32_t)EPOLLET, EPOLL_TAG_PACKETS + number);
}

static void fire(struct ring_epoll *ring, unsigned number, uint32_t events)
{
    ring_packet_socket_at(&ring->base, number)->watched = false;
    ring_queue_push(&ring->queue, RING_PACKETS, number, (int32_t)events);
}

void ring_epoll_packets_watch(struct ring *base, unsigned number)
{
    struct ring_packet_socket *at = ring_packet_socket_at(base, number);
    assert(!at->watched && "one watch");
    at->watched = true;
    if (at->ready)
        fire((struct ring_epoll *)base, number, POLLIN);
}

void ring_epoll_packets_ready(struct ring_epoll *ring, unsigned number, uint32_t events)
{
    struct ring_packet_socket *at = ring_packet_socket_at(&ring->base, number);
    at->ready = true;
    if (at->watched)
        fire(ring, number, events);
}
