/* ring_fake_packets: datagrams between the sockets of rings and those of the test. */
#include "ring_fake_net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct datagram {
    struct datagram *next;
    int64_t due_ns;
    struct sockaddr_in6 from;
    struct in6_addr to;
    uint8_t ecn;
    size_t size;
    uint8_t bytes[];
};

struct fake_udp {
    struct fake_net *net;
    struct fake_udp *next;
    bool is_ring; /* of a ring: it is at any address */
    bool watched;
    struct sockaddr_in6 address;
    uint64_t taken, given;  /* bytes, between this address and rings */
    struct datagram *queue; /* in the order in which they arrive */
};

/* ---- sockets ---- */

static struct fake_udp *socket_make(struct fake_net *net, struct sockaddr_in6 address)
{
    struct fake_udp *udp = calloc(1, sizeof *udp);
    assert(udp);
    udp->net = net;
    udp->address = address;
    struct fake_udp **end = &net->sockets;
    while (*end)
        end = &(*end)->next;
    *end = udp;
    return udp;
}

static struct sockaddr_in6 address_of_port(int fd)
{
    assert(fd >= 0 && fd <= UINT16_MAX);
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)fd),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
}

struct fake_udp *fake_udp_bind(struct fake_net *net, int fd)
{
    struct fake_udp *udp = socket_make(net, address_of_port(fd));
    udp->is_ring = true;
    return udp;
}

struct fake_udp *fake_udp_open(struct fake_net *net, struct sockaddr_in6 address)
{
    return socket_make(net, address);
}

static void drop_queue(struct fake_udp *udp)
{
    while (udp->queue) {
        struct datagram *first = udp->queue;
        udp->queue = first->next;
        free(first);
    }
}

void fake_udp_close(struct fake_udp *udp)
{
    struct fake_udp **link = &udp->net->sockets;
    while (*link != udp)
        link = &(*link)->next;
    *link = udp->next;
    drop_queue(udp);
    free(udp);
}

void fake_udp_move(struct fake_udp *udp, struct sockaddr_in6 address)
{
    drop_queue(udp);
    udp->address = address;
    udp->taken = 0;
    udp->given = 0;
}

uint64_t fake_udp_taken(const struct fake_udp *udp)
{
    return udp->taken;
}

uint64_t fake_udp_given(const struct fake_udp *udp)
{
    return udp->given;
}

/* ---- the way ---- */

void fake_net_route(struct fake_net *net,
                    unsigned (*route)(const void *data, size_t size, unsigned sockets))
{
    net->route = route;
}

static unsigned sockets_at(const struct fake_net *net, in_port_t port)
{
    unsigned count = 0;
    for (const struct fake_udp *udp = net->sockets; udp; udp = udp->next)
        count += udp->is_ring && udp->address.sin6_port == port;
    return count;
}

static struct fake_udp *ring_socket(struct fake_net *net, const struct sockaddr_in6 *from,
                                    in_port_t port, const void *data, size_t size)
{
    unsigned count = sockets_at(net, port);
    if (count == 0)
        return NULL;
    unsigned chosen = ntohs(from->sin6_port) % count;
    if (net->route)
        chosen = net->route(data, size, count);
    for (struct fake_udp *udp = net->sockets; udp; udp = udp->next)
        if (udp->is_ring && udp->address.sin6_port == port && chosen-- == 0)
            return udp;
    return NULL;
}

static struct fake_udp *test_socket(struct fake_net *net, const struct sockaddr_in6 *to)
{
    for (struct fake_udp *udp = net->sockets; udp; udp = udp->next)
        if (!udp->is_ring && udp->address.sin6_port == to->sin6_port &&
            memcmp(&udp->address.sin6_addr, &to->sin6_addr, sizeof to->sin6_addr) == 0)
            return udp;
    return NULL;
}

static void arrive(struct fake_udp *at, const struct sockaddr_in6 *from, const void *data,
                   size_t size, uint8_t ecn)
{
    struct fake_net *net = at->net;
    struct datagram *datagram = realloc(NULL, sizeof *datagram + size);
    assert(datagram);
    *datagram = (struct datagram){
        .due_ns = net->now_ns,
        .from = *from,
        .to = at->address.sin6_addr,
        .ecn = ecn,
        .size = fake_chance(net, net->config.packet_cut) ? fake_below(net, size + 1) : size,
    };
    if (net->config.packet_delay_ns_max > 0)
        datagram->due_ns += (int64_t)fake_below(net, (uint64_t)net->config.packet_delay_ns_max + 1);
    memcpy(datagram->bytes, data, size);
    if (size > 0 && fake_chance(net, net->config.packet_spoilt)) {
        uint64_t bit = fake_below(net, size * 8);
        datagram->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    struct datagram **link = &at->queue;
    while (*link && (*link)->due_ns <= datagram->due_ns)
        link = &(*link)->next;
    datagram->next = *link;
    *link = datagram;
}

static void carry(struct fake_udp *to, const struct sockaddr_in6 *from, const void *data,
                  size_t size, uint8_t ecn)
{
    if (!to || fake_chance(to->net, to->net->config.packet_lost))
        return;
    arrive(to, from, data, size, ecn);
    if (fake_chance(to->net, to->net->config.packet_twice))
        arrive(to, from, data, size, ecn);
}

void fake_udp_send(struct fake_udp *udp, int fd, const void *data, size_t size, uint8_t ecn)
{
    struct sockaddr_in6 to = address_of_port(fd);
    carry(ring_socket(udp->net, &udp->address, to.sin6_port, data, size), &udp->address, data, size,
          ecn);
}

/* ---- receiving ---- */

static struct datagram *take(struct fake_udp *udp)
{
    struct datagram *first = udp->queue;
    if (!first || first->due_ns > udp->net->now_ns)
        return NULL;
    udp->queue = first->next;
    return first;
}

ssize_t fake_udp_receive(struct fake_udp *udp, void *data, size_t size, uint8_t *ret_ecn)
{
    struct datagram *first = take(udp);
    if (!first)
        return -EAGAIN;
    assert(first->size <= size && "room for a datagram");
    memcpy(data, first->bytes, first->size);
    *ret_ecn = first->ecn;
    ssize_t got = (ssize_t)first->size;
    free(first);
    return got;
}

int64_t fake_udp_due(const struct fake_udp *udp)
{
    bool waits = !udp->is_ring || udp->watched;
    return waits && udp->queue ? udp->queue->due_ns : INT64_MAX;
}

/* ---- a ring's ---- */

void fake_udp_watch(struct fake_udp *socket)
{
    assert(!socket->watched && "one watch");
    socket->watched = true;
}

bool fake_udp_fires(struct fake_udp *socket)
{
    if (!socket->watched || !socket->queue || socket->queue->due_ns > socket->net->now_ns)
        return false;
    socket->watched = false;
    return true;
}

bool fake_udp_take(struct fake_udp *socket, struct ring_packet *packet)
{
    struct datagram *first = take(socket);
    if (!first)
        return false;
    bool fits = first->size <= packet->iov.iov_len;
    memcpy(packet->iov.iov_base, first->bytes, fits ? first->size : packet->iov.iov_len);
    packet->res = fits ? (int32_t)first->size : -EMSGSIZE;
    packet->segment = 0;
    packet->ecn = first->ecn;
    packet->peer = first->from;
    packet->local = first->to;
    struct fake_udp *from = test_socket(socket->net, &first->from);
    if (from)
        from->taken += first->size;
    fake_trace(socket->net, (uint64_t)first->size << 32 ^ ntohs(first->from.sin6_port));
    free(first);
    return true;
}

/* What the kernel has against an entry: 0 or negative errno. */
static int32_t refusal_of(const struct fake_net *net, const struct ring_packet *packet)
{
    const struct fake_config *config = &net->config;
    bool too_long = config->packet_bytes_max != 0 && packet->iov.iov_len > config->packet_bytes_max;
    if (packet->segment != 0)
        return config->joined_err;
    return too_long ? -EMSGSIZE : 0;
}

void fake_udp_give(struct fake_udp *socket, struct ring_packet *packet)
{
    struct fake_net *net = socket->net;
    const char *bytes = packet->iov.iov_base;
    size_t left = packet->iov.iov_len;
    size_t segment = packet->segment ? packet->segment : left;
    assert(packet->ecn <= 3);
    packet->res = refusal_of(net, packet);
    if (packet->res < 0)
        return;
    packet->res = (int32_t)left;
    do {
        size_t part = left < segment ? left : segment;
        struct fake_udp *to = test_socket(net, &packet->peer);
        if (to)
            to->given += part;
        else
            to = ring_socket(net, &socket->address, packet->peer.sin6_port, bytes, part);
        carry(to, &socket->address, bytes, part, packet->ecn);
        bytes += part;
        left -= part;
    } while (left > 0);
}
