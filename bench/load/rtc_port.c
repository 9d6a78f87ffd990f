/* rtc_port: the socket of all peers of a load: whose a datagram is, and what is to be sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/pages.h"
#include "load/rtc.h"
#include "phantom/network.h"

enum {
    BUFFER_BYTES = 64 << 20, /* of the socket: what a fan-out brings while one is being read */
    BATCHES = 8,             /* read in a row */
    ALARMS_PER_STEP = 4096,
    ADDRESS_AT = 12, /* of an IPv4 address in its mapped one */
};
#define FIRST_ADDRESS UINT32_C(0x7f010001) /* 127.1.0.1 */
#define ADDRESSES     UINT32_C(0x00c6ffff) /* up to 127.199.255.255 */

/* What goes before a datagram in the network. */
struct passage {
    uint32_t link;
    uint32_t generation;
};
static_assert(sizeof(struct passage) + SCTP_PACKET_MAX + DTLS_OVERHEAD_MAX <= NETWORK_PACKET_MAX,
              "it has room");

/* ---- addresses ---- */

static struct in6_addr address_of(const struct rtc_port *port, uint32_t link)
{
    struct in6_addr ret = {.s6_addr = {[10] = 0xff, 0xff}};
    uint32_t address = htonl(port->first + link);
    memcpy(ret.s6_addr + ADDRESS_AT, &address, sizeof address);
    return ret;
}

/* Whose address it is; LINK_NONE: nobody's. */
static uint32_t link_at(const struct load *load, const struct in6_addr *address)
{
    uint32_t ipv4;
    memcpy(&ipv4, address->s6_addr + ADDRESS_AT, sizeof ipv4);
    uint32_t link = ntohl(ipv4) - load->rtc->first;
    return link < load->link_count && link_is_rtc(load, &load->links[link]) ? link : LINK_NONE;
}

/* ---- sending ---- */

static void out_flush(struct load *load)
{
    struct rtc_port *port = load->rtc;
    if (port->out_count == 0)
        return;
    ring_packets_send(load->ring, RTC_SOCKET, port->out, port->out_count);
    port->out_count = 0;
}

uint8_t *rtc_room(struct load *load)
{
    struct rtc_port *port = load->rtc;
    if (port->out_count == RING_PACKETS_MAX)
        out_flush(load);
    return port->area + (size_t)(RING_PACKETS_MAX + port->out_count) * RTC_PACKET_ROOM;
}

/* The datagram in the room that rtc_room gave leaves for the kernel. */
static void leaves(const struct rtc_peer *peer, size_t len)
{
    struct rtc_port *port = peer->load->rtc;
    port->out[port->out_count] = (struct ring_packet){
        .iov = {rtc_room(peer->load), len},
        .peer = peer->server,
        .local = address_of(port, peer->link),
    };
    port->out_count++;
}

void rtc_send(struct rtc_peer *peer, size_t len)
{
    struct load *load = peer->load;
    struct rtc_port *port = load->rtc;
    const struct passage passage = {peer->link, port->generations[peer->link]};
    struct group *group = link_group(load, rtc_link(peer));
    group->counters.bytes_out += len;
    if (!group->network || network_pass(group->network, peer->link - group->first_link,
                                        NETWORK_TO_SERVER, (const char *)&passage, sizeof passage,
                                        (const char *)rtc_room(load), len, load->now_ns))
        leaves(peer, len);
}

void rtc_due(struct rtc_peer *peer)
{
    struct rtc_port *port = peer->load->rtc;
    if (port->is_due[peer->link])
        return;
    port->is_due[peer->link] = true;
    port->due[port->due_count++] = peer->link;
}

void rtc_flush(struct load *load)
{
    struct rtc_port *port = load->rtc;
    if (!port)
        return;
    for (uint32_t i = 0; i < port->due_count; i++) {
        uint32_t link = port->due[i];
        port->is_due[link] = false;
        if (rtc_of(load, link))
            rtc_write(rtc_of(load, link));
    }
    port->due_count = 0;
    out_flush(load);
}

/* ---- receiving ---- */

static void arrived(struct load *load, const struct ring_packet *packet)
{
    struct rtc_port *port = load->rtc;
    uint32_t link = link_at(load, &packet->local);
    struct rtc_peer *peer = link != LINK_NONE ? rtc_of(load, link) : NULL;
    if (!peer || packet->res <= 0 || peer->phase == RTC_SIGNALS)
        return;
    const struct passage passage = {link, port->generations[link]};
    const struct group *group = link_group(load, rtc_link(peer));
    size_t len = (size_t)packet->res;
    if (!group->network || sizeof passage + len > NETWORK_PACKET_MAX ||
        network_pass(group->network, link - group->first_link, NETWORK_TO_CLIENT,
                     (const char *)&passage, sizeof passage, packet->iov.iov_base, len,
                     load->now_ns))
        rtc_take(peer, packet->iov.iov_base, len);
}

void rtc_packets(struct load *load)
{
    struct rtc_port *port = load->rtc;
    unsigned count = RING_PACKETS_MAX;
    for (unsigned batch = 0; count == RING_PACKETS_MAX && batch < BATCHES; batch++) {
        for (unsigned i = 0; i < RING_PACKETS_MAX; i++)
            port->in[i].iov =
                (struct iovec){port->area + (size_t)i * RTC_PACKET_ROOM, RTC_PACKET_ROOM};
        count = ring_packets_receive(load->ring, RTC_SOCKET, port->in, RING_PACKETS_MAX);
        load->now_ns = engine_clock_ns();
        for (unsigned i = 0; i < count; i++)
            arrived(load, &port->in[i]);
    }
    ring_packets_watch(load->ring, RTC_SOCKET);
}

/* ---- by the clock ---- */

/* What was under way and is there now. */
static void carry(struct load *load, struct network *network)
{
    const struct rtc_port *port = load->rtc;
    const char *packet;
    size_t len, head_len;
    enum network_way way;
    while ((len = network_next(network, load->now_ns, &packet, &head_len, &way)) > 0) {
        struct passage passage;
        memcpy(&passage, packet, sizeof passage);
        struct rtc_peer *peer = rtc_of(load, passage.link);
        if (!peer || passage.generation != port->generations[passage.link])
            continue;
        uint8_t taken[RTC_PACKET_ROOM]; /* the network may have others there by then */
        len -= head_len;
        memcpy(way == NETWORK_TO_SERVER ? rtc_room(load) : taken, packet + head_len, len);
        if (way == NETWORK_TO_SERVER)
            leaves(peer, len);
        else
            rtc_take(peer, taken, len);
    }
}

int64_t rtc_step(struct load *load)
{
    struct rtc_port *port = load->rtc;
    int64_t wait_ns = INT64_MAX;
    if (!port)
        return wait_ns;
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].network && group_is(&load->groups[i], PROTOCOL_RTC))
            carry(load, load->groups[i].network);
    for (unsigned i = 0; i < ALARMS_PER_STEP; i++) {
        uint32_t link = alarms_pop(&port->alarms, load->now_ns);
        if (link == ALARMS_NONE)
            break;
        rtc_alarm(rtc_of(load, link));
    }
    rtc_flush(load);
    int64_t next_ns = alarms_next_ns(&port->alarms);
    if (next_ns != INT64_MAX)
        wait_ns = next_ns > load->now_ns ? next_ns - load->now_ns : 0;
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].network && group_is(&load->groups[i], PROTOCOL_RTC))
            wait_ns = network_wait_ns(load->groups[i].network, load->now_ns, wait_ns);
    return wait_ns;
}

void rtc_port_begin(struct rtc_peer *peer)
{
    const struct group *group = link_group(peer->load, rtc_link(peer));
    peer->load->rtc->generations[peer->link]++;
    if (group->network)
        network_begin(group->network, peer->link - group->first_link, peer->load->now_ns);
}

void rtc_alarm_set(struct rtc_peer *peer, int64_t at_ns)
{
    if (at_ns < alarms_at_ns(&peer->load->rtc->alarms, peer->link))
        alarms_set(&peer->load->rtc->alarms, peer->link, at_ns);
}

void rtc_port_forget(struct rtc_peer *peer)
{
    alarms_cancel(&peer->load->rtc->alarms, peer->link);
}

/* ---- making and ending it ---- */

static int socket_open(uint16_t *ret_port)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof any;
    const int bytes = BUFFER_BYTES;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* As large as the system lets them be; root is let. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 &&
        getsockname(fd, (struct sockaddr *)&any, &size) == 0) {
        *ret_port = any.sin_port;
        return fd;
    }
    int err = -errno;
    close(fd);
    return err;
}

static int memory_take(struct rtc_port *port, uint32_t links)
{
    port->area = malloc((size_t)2 * RING_PACKETS_MAX * RTC_PACKET_ROOM);
    port->due = pages_map(links * sizeof *port->due);
    port->is_due = pages_map(links);
    port->generations = pages_map(links * sizeof *port->generations);
    port->identity = dtls_identity_create();
    bool has = port->area && port->due && port->is_due && port->generations && port->identity &&
               alarms_init(&port->alarms, links) == 0;
    return has ? 0 : -ENOMEM;
}

int rtc_port_create(struct load *load, char *why, size_t why_size)
{
    struct rtc_port *port = load->rtc = calloc(1, sizeof *port);
    if (!port)
        return -ENOMEM;
    port->first = FIRST_ADDRESS;
    port->fd = load->link_count <= ADDRESSES ? socket_open(&port->port) : -EADDRNOTAVAIL;
    int err = port->fd < 0 ? port->fd : memory_take(port, load->link_count);
    if (err == 0)
        err = ring_packets_open(load->ring, RTC_SOCKET, port->fd);
    if (err < 0) {
        snprintf(why, why_size, "no UDP socket for peers of WebRTC: %s", strerror(-err));
        return err;
    }
    ring_packets_watch(load->ring, RTC_SOCKET);
    return 0;
}

void rtc_port_free(struct load *load)
{
    struct rtc_port *port = load->rtc;
    if (!port)
        return;
    alarms_done(&port->alarms);
    dtls_identity_free(port->identity);
    pages_unmap(port->due, load->link_count * sizeof *port->due);
    pages_unmap(port->is_due, load->link_count);
    pages_unmap(port->generations, load->link_count * sizeof *port->generations);
    free(port->area);
    if (port->fd >= 0)
        close(port->fd);
    free(port);
    load->rtc = NULL;
}
