/* ring_loopback: plain loopback sockets as the peers of a ring on the real kernel, for its tests.
 *
 * Everything made here is closed by loopback_end. Threads: one. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/ring.h"

enum {
    LOOPBACK_SOCKETS_MAX = 2048,
    LOOPBACK_PACKET_SOCKETS_MAX = 16,
    LOOPBACK_BACKLOG = 2048,
    LOOPBACK_TURN_NS = 2000000,
};

/* On io_uring: of either role, and as contract_kernel wants it. On epoll there is only one. */
struct ring *loopback_ring(uint32_t capacity, bool client);
struct ring *loopback_ring_server(uint32_t capacity);
struct ring *loopback_ring_peers(uint32_t capacity); /* io_uring, with ring_config.peers */
struct ring *loopback_ring_fd(uint32_t capacity);    /* io_uring on ordinary descriptors */
struct ring *loopback_ring_fd_client(uint32_t capacity);
struct ring *loopback_ring_epoll(uint32_t capacity);

/* How many this process has open. */
int loopback_descriptors(void);

/* The listening socket and its address; made at the first call. */
int loopback_listener(struct sockaddr_in *ret_address);

/* Makes sockets in advance, so that RLIMIT_NOFILE may be lowered before they connect. */
void loopback_reserve(int count);

int loopback_open(void);
int loopback_open_second(void);
void loopback_listen(struct ring *ring);
void loopback_listen_second(struct ring *ring);
void loopback_turn(struct ring *ring);
ssize_t loopback_write(int peer, const void *data, size_t size);
ssize_t loopback_read(int peer, void *data, size_t size);
void loopback_close(int peer);
void loopback_reset(int peer);

/* Of datagrams: the ring's sockets take IPv4 and IPv6, the first peer has IPv6, the next IPv4, and
 * so on. */
int loopback_packets_open(struct ring *ring, unsigned number);
int loopback_packet_peer(void);
void loopback_packet_send(int peer, const void *data, size_t size, uint8_t ecn);
ssize_t loopback_packet_take(int peer, void *data, size_t size, uint8_t *ret_ecn);
struct sockaddr_in6 loopback_packet_address(int peer);

void loopback_end(void);
