/* ring_packets: datagram sockets as engines have them. For engines only.
 *
 * Idea     A batch is one sendmmsg or recvmmsg: per datagram that is less than io_uring takes for a
 *          sendmsg of its own, and no buffer is lent to the kernel across turns. What differs
 *          between the engines is how they learn that something has arrived.
 * Threads  The ring's own.
 * Memory   What a batch needs for heads, addresses and control messages: 20 KiB for each ring that
 *          has a socket.
 * Source   RFC 3168 (ECN), RFC 3542 (packet information), udp(7) (UDP_SEGMENT). */
#pragma once

#include "core/ring.h"

struct ring_packet_batch;

struct ring_packet_sockets {
    struct ring_packet_socket {
        int fd;    /* -1: none */
        bool ipv4; /* its family */
        bool watched;
        bool ready; /* epoll: as far as is known, something lies there */
    } list[RING_PACKET_SOCKETS_MAX];
    struct ring_packet_batch *batch;
};

/* What ring_packets_open does on any kernel; the engine then arranges to hear of arrivals. */
int ring_packet_socket_open(struct ring *ring, unsigned number, int fd);

struct ring_packet_socket *ring_packet_socket_at(struct ring *ring, unsigned number);

unsigned ring_packet_sockets_receive(struct ring *ring, unsigned number,
                                     struct ring_packet *packets, unsigned count);
void ring_packet_sockets_send(struct ring *ring, unsigned number, struct ring_packet *packets,
                              unsigned count);

/* Also of a ring that has none. */
void ring_packet_sockets_done(struct ring *ring);
