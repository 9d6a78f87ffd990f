#include "ring_loopback.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int listeners[] = {[0 ... RING_LISTENERS_MAX - 1] = -1};
static int sockets[LOOPBACK_SOCKETS_MAX];
static int socket_count, socket_next;

typedef int create_function(struct ring **ret, const struct ring_config *config, char *why,
                            size_t why_size);

static struct ring *make(create_function *create, struct ring_config config)
{
    char why[256] = "";
    struct ring *ring = NULL;
    if (create(&ring, &config, why, sizeof why) < 0)
        fprintf(stderr, "no ring: %s\n", why);
    assert(ring);
    return ring;
}

struct ring *loopback_ring(uint32_t capacity, bool client)
{
    return make(ring_uring_create, (struct ring_config){.capacity = capacity, .client = client});
}

struct ring *loopback_ring_server(uint32_t capacity)
{
    return loopback_ring(capacity, false);
}

struct ring *loopback_ring_peers(uint32_t capacity)
{
    return make(ring_uring_create, (struct ring_config){.capacity = capacity, .peers = true});
}

struct ring *loopback_ring_fd(uint32_t capacity)
{
    return make(ring_uring_fd_create, (struct ring_config){.capacity = capacity});
}

struct ring *loopback_ring_fd_client(uint32_t capacity)
{
    return make(ring_uring_fd_create, (struct ring_config){.capacity = capacity, .client = true});
}

struct ring *loopback_ring_epoll(uint32_t capacity)
{
    return make(ring_epoll_create, (struct ring_config){.capacity = capacity});
}

int loopback_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int listener_at(unsigned index, struct sockaddr_in *ret_address)
{
    int listener = listeners[index];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    if (listener < 0) {
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert(listener >= 0);
        int err = bind(listener, (struct sockaddr *)&address, sizeof address);
        assert(err == 0);
        err = listen(listener, LOOPBACK_BACKLOG);
        assert(err == 0);
        listeners[index] = listener;
    }
    int err = getsockname(listener, (struct sockaddr *)&address, &size);
    assert(err == 0);
    if (ret_address)
        *ret_address = address;
    return listener;
}

int loopback_listener(struct sockaddr_in *ret_address)
{
    return listener_at(0, ret_address);
}

void loopback_reserve(int count)
{
    for (int i = 0; i < count; i++) {
        assert(socket_count < LOOPBACK_SOCKETS_MAX);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert(fd >= 0);
        sockets[socket_count++] = fd;
    }
}

static int open_at(unsigned index)
{
    struct sockaddr_in address;
    listener_at(index, &address);
    if (socket_next == socket_count)
        loopback_reserve(1);
    int fd = sockets[socket_next++];
    int err = connect(fd, (struct sockaddr *)&address, sizeof address);
    assert(err == 0);
    return fd;
}

int loopback_open(void)
{
    return open_at(0);
}

int loopback_open_second(void)
{
    return open_at(1);
}

void loopback_listen(struct ring *ring)
{
    int err = ring_listen(ring, 0, loopback_listener(NULL));
    assert(err == 0);
}

void loopback_listen_second(struct ring *ring)
{
    int err = ring_listen(ring, 1, listener_at(1, NULL));
    assert(err == 0);
}

void loopback_turn(struct ring *ring)
{
    int err = ring_wait(ring, LOOPBACK_TURN_NS);
    assert(err == 0);
}

ssize_t loopback_write(int peer, const void *data, size_t size)
{
    ssize_t n = send(peer, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

ssize_t loopback_read(int peer, void *data, size_t size)
{
    ssize_t n = recv(peer, data, size, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

/* ---- datagrams ---- */

static int packet_sockets[LOOPBACK_PACKET_SOCKETS_MAX];
static int packet_socket_count;
static in_port_t packet_port; /* of the ring's socket that was opened last */
static int packet_peers;

static int packet_socket(struct sockaddr_in6 address)
{
    int off = 0;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert(fd >= 0 && packet_socket_count < LOOPBACK_PACKET_SOCKETS_MAX);
    packet_sockets[packet_socket_count++] = fd;
    int err = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    assert(err == 0);
    err = bind(fd, (struct sockaddr *)&address, size);
    assert(err == 0);
    return fd;
}

int loopback_packets_open(struct ring *ring, unsigned number)
{
    int fd = packet_socket((struct sockaddr_in6){.sin6_family = AF_INET6});
    packet_port = loopback_packet_address(fd).sin6_port;
    return ring_packets_open(ring, number, fd);
}

static struct in6_addr packet_host(bool ipv4)
{
    const struct in6_addr mapped = {.s6_addr = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
    return ipv4 ? mapped : in6addr_loopback;
}

static void packet_ask_ecn(int fd)
{
    int on = 1;
    int err = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    assert(err == 0);
    err = setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    assert(err == 0);
}

int loopback_packet_peer(void)
{
    struct in6_addr host = packet_host(packet_peers++ % 2 == 1);
    int fd = packet_socket((struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = host});
    packet_ask_ecn(fd);
    return fd;
}

struct sockaddr_in6 loopback_packet_address(int peer)
{
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    int err = getsockname(peer, (struct sockaddr *)&address, &size);
    assert(err == 0);
    return address;
}

void loopback_packet_send(int peer, const void *data, size_t size, uint8_t ecn)
{
    struct sockaddr_in6 to = loopback_packet_address(peer);
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(&to.sin6_addr);
    int tos = ecn;
    int err = setsockopt(peer, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS, &tos,
                         sizeof tos);
    assert(err == 0);
    to.sin6_port = packet_port;
    ssize_t sent = sendto(peer, data, size, 0, (struct sockaddr *)&to, sizeof to);
    assert(sent == (ssize_t)size);
}

ssize_t loopback_packet_take(int peer, void *data, size_t size, uint8_t *ret_ecn)
{
    _Alignas(struct cmsghdr) char control[128];
    struct iovec room = {data, size};
    struct msghdr head = {
        .msg_iov = &room,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    ssize_t got = recvmsg(peer, &head, 0);
    if (got < 0)
        return -errno;
    struct cmsghdr *about = CMSG_FIRSTHDR(&head);
    *ret_ecn = about ? *CMSG_DATA(about) & 3 : 0;
    return got;
}

static void packets_end(void)
{
    while (packet_socket_count > 0)
        close(packet_sockets[--packet_socket_count]);
    packet_peers = 0;
}

static void forget(int peer)
{
    for (int i = 0; i < socket_count; i++) {
        if (sockets[i] == peer) {
            sockets[i] = sockets[--socket_next];
            sockets[socket_next] = sockets[--socket_count];
            return;
        }
    }
    assert(!"an open peer");
}

void loopback_close(int peer)
{
    forget(peer);
    close(peer);
}

void loopback_reset(int peer)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int err = setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    assert(err == 0);
    loopback_close(peer);
}

void loopback_end(void)
{
    while (socket_count > 0)
        close(sockets[--socket_count]);
    socket_next = 0;
    packets_end();
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        if (listeners[i] >= 0)
            close(listeners[i]);
        listeners[i] = -1;
    }
}
