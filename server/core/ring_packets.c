#include "core/ring_packets.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONTROL_BYTES = 128, /* of one datagram: packet information, ECN, segment */
    ECN_BITS = 3,
};

/* The address as its socket has it. */
union address {
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

struct control {
    _Alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

struct ring_packet_batch {
    struct mmsghdr heads[RING_PACKETS_MAX];
    union address addresses[RING_PACKETS_MAX];
    struct control controls[RING_PACKETS_MAX];
};

/* ---- opening ---- */

static int sockets_init(struct ring *ring)
{
    if (ring->packets)
        return 0;
    struct ring_packet_sockets *sockets = calloc(1, sizeof *sockets);
    struct ring_packet_batch *batch = calloc(1, sizeof *batch);
    if (!sockets || !batch) {
        free(sockets);
        free(batch);
        return -ENOMEM;
    }
    sockets->batch = batch;
    for (unsigned i = 0; i < RING_PACKET_SOCKETS_MAX; i++)
        sockets->list[i].fd = -1;
    ring->packets = sockets;
    return 0;
}

/* An IPv6 socket is asked for what comes by IPv4 as well, which it may take. */
static int ask_for_information(int fd, bool ipv4)
{
    int on = 1;
    int err = setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    if (err == 0 && ipv4)
        err = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    if (err == 0 && !ipv4)
        err = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    if (err == 0 && !ipv4)
        err = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    return err < 0 ? -errno : 0;
}

int ring_packet_socket_open(struct ring *ring, unsigned number, int fd)
{
    int family;
    socklen_t size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
        return -errno;
    int err = ask_for_information(fd, family == AF_INET);
    if (err == 0)
        err = sockets_init(ring);
    if (err < 0)
        return err;
    assert(number < RING_PACKET_SOCKETS_MAX && ring->packets->list[number].fd < 0);
    ring->packets->list[number] = (struct ring_packet_socket){.fd = fd, .ipv4 = family == AF_INET};
    return 0;
}

struct ring_packet_socket *ring_packet_socket_at(struct ring *ring, unsigned number)
{
    assert(number < RING_PACKET_SOCKETS_MAX && ring->packets);
    struct ring_packet_socket *at = &ring->packets->list[number];
    assert(at->fd >= 0 && "an open one");
    return at;
}

void ring_packet_sockets_done(struct ring *ring)
{
    if (ring->packets)
        free(ring->packets->batch);
    free(ring->packets);
    ring->packets = NULL;
}

/* ---- addresses ---- */

static struct in6_addr map(struct in_addr address)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, 0xff}};
    memcpy(mapped.s6_addr + 12, &address, sizeof address);
    return mapped;
}

static struct in_addr unmap(const struct in6_addr *address)
{
    struct in_addr ipv4;
    memcpy(&ipv4, address->s6_addr + 12, sizeof ipv4);
    return ipv4;
}

static struct sockaddr_in6 peer_read(const union address *address, bool ipv4)
{
    if (!ipv4)
        return address->ipv6;
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = address->ipv4.sin_port,
        .sin6_addr = map(address->ipv4.sin_addr),
    };
}

static socklen_t peer_write(union address *address, const struct sockaddr_in6 *peer, bool ipv4)
{
    if (!ipv4) {
        address->ipv6 = *peer;
        address->ipv6.sin6_family = AF_INET6;
        return sizeof address->ipv6;
    }
    address->ipv4 = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = peer->sin6_port,
        .sin_addr = unmap(&peer->sin6_addr),
    };
    return sizeof address->ipv4;
}

/* ---- receiving ---- */

static void read_information(struct ring_packet *packet, const struct cmsghdr *about)
{
    if (about->cmsg_level == IPPROTO_IP && about->cmsg_type == IP_TOS) {
        packet->ecn = *(const uint8_t *)CMSG_DATA(about) & ECN_BITS;
    } else if (about->cmsg_level == IPPROTO_IPV6 && about->cmsg_type == IPV6_TCLASS) {
        int tclass;
        memcpy(&tclass, CMSG_DATA(about), sizeof tclass);
        packet->ecn = (uint8_t)(tclass & ECN_BITS);
    } else if (about->cmsg_level == IPPROTO_IP && about->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(about), sizeof info);
        packet->local = map(info.ipi_addr);
    } else if (about->cmsg_level == IPPROTO_IPV6 && about->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(about), sizeof info);
        packet->local = info.ipi6_addr;
    }
}

static void take(struct ring_packet *packet, struct mmsghdr *head, const union address *address,
                 bool ipv4)
{
    packet->res = head->msg_hdr.msg_flags & MSG_TRUNC ? -EMSGSIZE : (int32_t)head->msg_len;
    packet->segment = 0;
    packet->ecn = 0;
    packet->local = in6addr_any;
    packet->peer = peer_read(address, ipv4);
    for (struct cmsghdr *about = CMSG_FIRSTHDR(&head->msg_hdr); about;
         about = CMSG_NXTHDR(&head->msg_hdr, about))
        read_information(packet, about);
}

unsigned ring_packet_sockets_receive(struct ring *ring, unsigned number,
                                     struct ring_packet *packets, unsigned count)
{
    struct ring_packet_socket *at = ring_packet_socket_at(ring, number);
    struct ring_packet_batch *batch = ring->packets->batch;
    assert(count <= RING_PACKETS_MAX);
    for (unsigned i = 0; i < count; i++) {
        batch->heads[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->addresses[i],
            .msg_namelen = sizeof batch->addresses[i],
            .msg_iov = &packets[i].iov,
            .msg_iovlen = 1,
            .msg_control = batch->controls[i].bytes,
            .msg_controllen = sizeof batch->controls[i].bytes,
        };
    }
    int got = recvmmsg(at->fd, batch->heads, count, MSG_DONTWAIT, NULL);
    ring->stats.enters++;
    unsigned received = got > 0 ? (unsigned)got : 0;
    ring->stats.receives += received;
    at->ready &= received == count;
    for (unsigned i = 0; i < received; i++)
        take(&packets[i], &batch->heads[i], &batch->addresses[i], at->ipv4);
    return received;
}

/* ---- sending ---- */

static void tell(struct msghdr *head, int level, int type, const void *value, size_t size)
{
    struct cmsghdr *about =
        (struct cmsghdr *)(void *)((char *)head->msg_control + head->msg_controllen);
    about->cmsg_level = level;
    about->cmsg_type = type;
    about->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(about), value, size);
    head->msg_controllen += CMSG_SPACE(size);
    assert(head->msg_controllen <= CONTROL_BYTES);
}

static void tell_local(struct msghdr *head, const struct in6_addr *local, bool ipv4)
{
    if (IN6_IS_ADDR_UNSPECIFIED(local))
        return;
    const struct in_pktinfo old = {.ipi_spec_dst = unmap(local)};
    const struct in6_pktinfo new = {.ipi6_addr = *local};
    if (ipv4)
        tell(head, IPPROTO_IP, IP_PKTINFO, &old, sizeof old);
    else
        tell(head, IPPROTO_IPV6, IPV6_PKTINFO, &new, sizeof new);
}

static void prepare(struct ring_packet_batch *batch, unsigned i, struct ring_packet *packet,
                    bool ipv4)
{
    struct msghdr *head = &batch->heads[i].msg_hdr;
    *head = (struct msghdr){
        .msg_name = &batch->addresses[i],
        .msg_namelen = peer_write(&batch->addresses[i], &packet->peer, ipv4),
        .msg_iov = &packet->iov,
        .msg_iovlen = 1,
        .msg_control = batch->controls[i].bytes,
    };
    tell_local(head, &packet->local, ipv4);
    if (packet->ecn != 0) {
        int ecn = packet->ecn;
        bool goes_by_ipv4 = ipv4 || IN6_IS_ADDR_V4MAPPED(&packet->peer.sin6_addr);
        tell(head, goes_by_ipv4 ? IPPROTO_IP : IPPROTO_IPV6, goes_by_ipv4 ? IP_TOS : IPV6_TCLASS,
             &ecn, sizeof ecn);
    }
    if (packet->segment != 0)
        tell(head, IPPROTO_UDP, UDP_SEGMENT, &packet->segment, sizeof packet->segment);
    if (head->msg_controllen == 0)
        head->msg_control = NULL;
}

/* sendmmsg stops at the first that fails, and says why only when nothing went before it. */
void ring_packet_sockets_send(struct ring *ring, unsigned number, struct ring_packet *packets,
                              unsigned count)
{
    const struct ring_packet_socket *at = ring_packet_socket_at(ring, number);
    struct ring_packet_batch *batch = ring->packets->batch;
    assert(count <= RING_PACKETS_MAX);
    for (unsigned i = 0; i < count; i++)
        prepare(batch, i, &packets[i], at->ipv4);
    ring->stats.sends += count;
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(at->fd, batch->heads + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        ring->stats.enters++;
        int err = sent < 0 ? -errno : 0;
        if (sent < 0)
            packets[done++].res = err;
        while (err == -EAGAIN && done < count)
            packets[done++].res = err;
        for (int i = 0; i < sent; i++, done++)
            packets[done].res = (int32_t)batch->heads[done].msg_len;
    }
}
