/* quic_port: the socket of all connections of a load: whose a datagram is, and what is to be sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sock_diag.h>

#include "core/pages.h"
#include "load/quic.h"

enum {
    BUFFER_BYTES = 64 << 20, /* of the socket: what a fan-out brings while one is being read */
    BATCHES = 8,             /* read in a row */
    ALARMS_PER_STEP = 4096,
    LONG_HEADER = 0x80,
    LONG_ID_AT = 6, /* behind the first byte, the version and a length */
    SHORT_ID_AT = 1,
};
static const char priority[] = "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+GROUP-X25519:+SIGN-ALL:"
                               "+CTYPE-ALL:%DISABLE_TLS13_COMPAT_MODE";

/* What goes before a datagram in the network. */
struct passage {
    struct sockaddr_in6 peer;
    uint32_t link;
    uint16_t generation;
    uint8_t ecn;
};
static_assert(sizeof(struct passage) + QUIC_PACKET_MAX <= NETWORK_PACKET_MAX, "it has room");

/* ---- sending ---- */

static void out_flush(struct load *load)
{
    struct quic_port *port = load->quic;
    if (port->out_count == 0)
        return;
    ring_packets_send(load->ring, QUIC_SOCKET, port->out, port->out_count);
    port->out_count = 0;
}

char *quic_room(struct load *load)
{
    struct quic_port *port = load->quic;
    if (port->out_count == RING_PACKETS_MAX)
        out_flush(load);
    return port->area + (size_t)(RING_PACKETS_MAX + port->out_count) * QUIC_PACKET_ROOM;
}

/* The packet in the room that quic_room gave leaves for the kernel. */
static void leaves(struct load *load, size_t len, const struct sockaddr_in6 *peer, uint8_t ecn)
{
    struct quic_port *port = load->quic;
    port->out[port->out_count] = (struct ring_packet){
        .iov = {quic_room(load), len},
        .ecn = ecn,
        .peer = *peer,
    };
    port->out_count++;
}

void quic_send(struct quic *quic, size_t len, uint8_t ecn)
{
    struct load *load = quic->load;
    struct quic_port *port = load->quic;
    const struct passage passage = {
        .peer = quic->peer,
        .link = quic->link,
        .generation = port->generations[quic->link],
        .ecn = ecn,
    };
    struct group *group = link_group(load, quic_link(quic));
    group->counters.bytes_out += len;
    if (!group->network ||
        network_pass(group->network, quic->link - group->first_link, NETWORK_TO_SERVER,
                     (const char *)&passage, sizeof passage, quic_room(load), len, load->now_ns))
        leaves(load, len, &quic->peer, ecn);
}

void quic_due(struct quic *quic)
{
    struct quic_port *port = quic->load->quic;
    if (port->is_due[quic->link])
        return;
    port->is_due[quic->link] = true;
    port->due[port->due_count++] = quic->link;
}

void quic_flush(struct load *load)
{
    struct quic_port *port = load->quic;
    if (!port)
        return;
    for (uint32_t i = 0; i < port->due_count; i++) {
        uint32_t link = port->due[i];
        port->is_due[link] = false;
        if (quic_of(load, link))
            quic_write(quic_of(load, link));
    }
    port->due_count = 0;
    out_flush(load);
}

/* ---- receiving ---- */

/* Whose it is; NULL: nobody's, or of a connection that was. */
static struct quic *owner_of(const struct load *load, const char *bytes, size_t len)
{
    size_t at = len > 0 && (uint8_t)bytes[0] & LONG_HEADER ? LONG_ID_AT : SHORT_ID_AT;
    uint32_t link;
    uint16_t generation;
    if (len < at + sizeof link + sizeof generation)
        return NULL;
    memcpy(&link, bytes + at, sizeof link);
    memcpy(&generation, bytes + at + sizeof link, sizeof generation);
    return link < load->link_count && generation == load->quic->generations[link] &&
                   link_is_quic(load, &load->links[link])
               ? quic_of(load, link)
               : NULL;
}

static void arrived(struct load *load, const struct ring_packet *packet)
{
    struct quic_port *port = load->quic;
    char *bytes = packet->iov.iov_base;
    size_t len = packet->res > 0 ? (size_t)packet->res : 0;
    struct quic *quic = owner_of(load, bytes, len);
    if (!quic)
        return;
    const struct passage passage = {
        .link = quic->link,
        .generation = port->generations[quic->link],
        .ecn = packet->ecn,
    };
    struct group *group = link_group(load, quic_link(quic));
    if (!group->network || len > QUIC_PACKET_MAX ||
        network_pass(group->network, quic->link - group->first_link, NETWORK_TO_CLIENT,
                     (const char *)&passage, sizeof passage, bytes, len, load->now_ns))
        quic_read(quic, bytes, len, packet->ecn);
}

void quic_packets(struct load *load)
{
    struct quic_port *port = load->quic;
    unsigned count = RING_PACKETS_MAX;
    for (unsigned batch = 0; count == RING_PACKETS_MAX && batch < BATCHES; batch++) {
        for (unsigned i = 0; i < RING_PACKETS_MAX; i++)
            port->in[i].iov =
                (struct iovec){port->area + (size_t)i * QUIC_PACKET_ROOM, QUIC_PACKET_ROOM};
        count = ring_packets_receive(load->ring, QUIC_SOCKET, port->in, RING_PACKETS_MAX);
        load->now_ns = engine_clock_ns();
        for (unsigned i = 0; i < count; i++)
            arrived(load, &port->in[i]);
    }
    ring_packets_watch(load->ring, QUIC_SOCKET);
}

/* ---- by the clock ---- */

/* What was under way and is there now. */
static void carry(struct load *load, struct network *network)
{
    struct quic_port *port = load->quic;
    const char *packet;
    size_t len, head_len;
    enum network_way way;
    while ((len = network_next(network, load->now_ns, &packet, &head_len, &way)) > 0) {
        struct passage passage;
        memcpy(&passage, packet, sizeof passage);
        char *bytes = quic_room(load); /* the network may have others there by then */
        len -= head_len;
        memcpy(bytes, packet + head_len, len);
        if (way == NETWORK_TO_SERVER)
            leaves(load, len, &passage.peer, passage.ecn);
        else if (passage.generation == port->generations[passage.link] &&
                 quic_of(load, passage.link))
            quic_read(quic_of(load, passage.link), bytes, len, passage.ecn);
    }
}

int64_t quic_step(struct load *load)
{
    struct quic_port *port = load->quic;
    int64_t wait_ns = INT64_MAX;
    if (!port)
        return wait_ns;
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].network && group_is(&load->groups[i], PROTOCOL_QUIC))
            carry(load, load->groups[i].network);
    for (unsigned i = 0; i < ALARMS_PER_STEP; i++) {
        uint32_t link = alarms_pop(&port->alarms, load->now_ns);
        if (link == ALARMS_NONE)
            break;
        quic_alarm(quic_of(load, link));
    }
    quic_flush(load);
    int64_t next_ns = alarms_next_ns(&port->alarms);
    if (next_ns != INT64_MAX)
        wait_ns = next_ns > load->now_ns ? next_ns - load->now_ns : 0;
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].network && group_is(&load->groups[i], PROTOCOL_QUIC))
            wait_ns = network_wait_ns(load->groups[i].network, load->now_ns, wait_ns);
    return wait_ns;
}

/* ---- making and ending it ---- */

static int socket_open(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    const int bytes = BUFFER_BYTES;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* As large as the system lets them be; root is let. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static int memory_take(struct quic_port *port, uint32_t links)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    port->area = malloc((size_t)2 * RING_PACKETS_MAX * QUIC_PACKET_ROOM);
    port->due = pages_map(links * sizeof *port->due);
    port->is_due = pages_map(links);
    port->generations = pages_map(links * sizeof *port->generations);
    bool has = port->area && port->due && port->is_due && port->generations &&
               alarms_init(&port->alarms, links) == 0 &&
               nghttp3_qpack_encoder_new(&port->encoder, 0, memory) == 0 &&
               nghttp3_qpack_decoder_new(&port->decoder, 0, 0, memory) == 0 &&
               gnutls_priority_init(&port->priority, priority, NULL) == 0 &&
               gnutls_certificate_allocate_credentials(&port->credentials) == 0;
    return has ? 0 : -ENOMEM;
}

int quic_port_create(struct load *load, char *why, size_t why_size)
{
    struct quic_port *port = load->quic = calloc(1, sizeof *port);
    if (!port)
        return -ENOMEM;
    port->fd = socket_open();
    int err = port->fd < 0 ? port->fd : memory_take(port, load->link_count);
    if (err == 0)
        err = ring_packets_open(load->ring, QUIC_SOCKET, port->fd);
    if (err < 0) {
        snprintf(why, why_size, "no UDP socket for clients of QUIC: %s", strerror(-err));
        return err;
    }
    ring_packets_watch(load->ring, QUIC_SOCKET);
    return 0;
}

void quic_port_free(struct load *load)
{
    struct quic_port *port = load->quic;
    if (!port)
        return;
    alarms_done(&port->alarms);
    nghttp3_qpack_encoder_del(port->encoder);
    nghttp3_qpack_decoder_del(port->decoder);
    gnutls_priority_deinit(port->priority);
    if (port->credentials)
        gnutls_certificate_free_credentials(port->credentials);
    pages_unmap(port->due, load->link_count * sizeof *port->due);
    pages_unmap(port->is_due, load->link_count);
    pages_unmap(port->generations, load->link_count * sizeof *port->generations);
    free(port->area);
    if (port->fd >= 0)
        close(port->fd);
    free(port);
    load->quic = NULL;
}

void load_datagrams_read(const struct load *load, struct load_datagrams *ret)
{
    uint32_t about[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof about;
    *ret = (struct load_datagrams){0};
    if (!load->quic)
        return;
    if (getsockopt(load->quic->fd, SOL_SOCKET, SO_MEMINFO, about, &size) == 0)
        ret->unread = about[SK_MEMINFO_DROPS];
    for (unsigned i = 0; i < load->group_count; i++) {
        const struct network *network = load->groups[i].network;
        if (!network)
            continue;
        ret->network.passed += network_counters(network)->passed;
        ret->network.lost += network_counters(network)->lost;
        ret->network.reordered += network_counters(network)->reordered;
        ret->network.overflowed += network_counters(network)->overflowed;
    }
}
