#include "phantom/phantom.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/ring_packets.h"
#include "core/ring_queue.h"
#include "phantom/softnet.h"
#include "phantom/tun.h"

enum {
    PUMP_PACKETS = 256, /* read before the load has its turn */
    ORPHANS = 65536,
    CROWD_LOOK = 256, /* packets written between two looks at the server's CPUs */
    CROWD_MOST = 400, /* that may wait for one: net.core.netdev_max_backlog is 1,000 by default */
    CROWD_TRIES = 1000,
};
#define CROWD_WAIT_NS INT64_C(50000)    /* a try; with the timer's slack about 100 µs */
#define LATE_NS       INT64_C(10000000) /* the load may be without the device so long */
#define REST_NS       INT64_C(500000)
#define RESTLESS_NS   INT64_C(10000000) /* after the last packet it waits for the next again */

struct phantom {
    struct tun tun;
    struct phantom_config config;
    int receives_apart;
    int softnet_fd; /* negative: clients need not look, or cannot */
    cpu_set_t server_cpus;
    uint64_t unheard_before;
    struct phantom_ring *ring; /* NULL: there is none */
    struct phantom_counters counters;
    struct tun_packet packet;
};

struct phantom_ring {
    struct ring base;
    struct phantom *phantom;
    struct phantom_ring_config config;
    struct tcp *tcp;
    struct network *network; /* NULL: none between */
    struct ring_queue queue;
    int64_t now_ns;
    int64_t since_ns; /* the device has had something to read since then; 0: it had not */
    int64_t read_ns;  /* when the last packet was read */
    bool rests;
};

/* ---- whether the server's CPUs keep up ---- */

static void crowd_begin(struct phantom *phantom)
{
    struct softnet softnet;
    phantom->softnet_fd = -1;
    if (!phantom->config.server_cpus || phantom->receives_apart < 0)
        return;
    phantom->server_cpus = *phantom->config.server_cpus;
    phantom->softnet_fd = softnet_open();
    if (phantom->softnet_fd < 0)
        return;
    if (softnet_read(phantom->softnet_fd, &phantom->server_cpus, &softnet) == 0) {
        phantom->unheard_before = softnet.dropped;
        return;
    }
    close(phantom->softnet_fd);
    phantom->softnet_fd = -1;
}

/* A network card's queue pushes back; a CPU's drops. When the time is over it is as it is. */
static void crowd_wait(struct phantom *phantom)
{
    static const struct timespec wait = {.tv_nsec = CROWD_WAIT_NS};
    struct softnet softnet;
    for (int i = 0; i < CROWD_TRIES; i++) {
        if (softnet_read(phantom->softnet_fd, &phantom->server_cpus, &softnet) < 0 ||
            softnet.waiting <= CROWD_MOST)
            return;
        phantom->counters.held++;
        nanosleep(&wait, NULL);
    }
}

/* ---- the device ---- */

int phantom_open(struct phantom **ret, const struct phantom_config *config, char *why,
                 size_t why_size)
{
    struct phantom *phantom = calloc(1, sizeof *phantom);
    const struct tun_config tun = {
        .name = PHANTOM_DEVICE,
        .address = PHANTOM_SERVER,
        .bits = PHANTOM_BITS,
        /* What a network loses is a packet, not sixty of them. */
        .large = !network_wanted(&config->network),
    };
    if (!phantom)
        return -ENOMEM;
    int err = tun_open(&phantom->tun, &tun, why, why_size);
    if (err < 0) {
        free(phantom);
        return err;
    }
    phantom->config = *config;
    if (config->server_cpus)
        phantom->receives_apart = tun_receive_on(&phantom->tun, config->server_cpus);
    crowd_begin(phantom);
    *ret = phantom;
    return 0;
}

void phantom_close(struct phantom *phantom)
{
    if (!phantom)
        return;
    assert(!phantom->ring);
    tun_close(&phantom->tun);
    if (phantom->softnet_fd >= 0)
        close(phantom->softnet_fd);
    free(phantom);
}

int phantom_receives_apart(const struct phantom *phantom)
{
    return phantom->receives_apart;
}

/* ---- counters ---- */

static void add_tcp(struct tcp_counters *to, const struct tcp_counters *from)
{
    to->segments_in += from->segments_in;
    to->segments_out += from->segments_out;
    to->bytes_in += from->bytes_in;
    to->bytes_out += from->bytes_out;
    to->retransmitted += from->retransmitted;
    to->again += from->again;
    to->out_of_order += from->out_of_order;
    to->strangers += from->strangers;
    to->no_room += from->no_room;
    to->unexpected += from->unexpected;
    to->given_up += from->given_up;
    to->chunks_most = from->chunks_most > to->chunks_most ? from->chunks_most : to->chunks_most;
}

static void add_network(struct network_counters *to, const struct network_counters *from)
{
    to->passed += from->passed;
    to->lost += from->lost;
    to->reordered += from->reordered;
    to->overflowed += from->overflowed;
    to->packets_most =
        from->packets_most > to->packets_most ? from->packets_most : to->packets_most;
}

void phantom_count(const struct phantom *phantom, struct phantom_counters *ret)
{
    const struct phantom_ring *ring = phantom->ring;
    struct softnet softnet;
    *ret = phantom->counters;
    ret->unread = tun_dropped(&phantom->tun);
    if (phantom->softnet_fd >= 0 &&
        softnet_read(phantom->softnet_fd, &phantom->server_cpus, &softnet) == 0)
        ret->unheard = softnet.dropped - phantom->unheard_before;
    if (!ring)
        return;
    add_tcp(&ret->tcp, tcp_counters(ring->tcp));
    if (ring->network)
        add_network(&ret->network, network_counters(ring->network));
}

/* ---- packets ---- */

static void put(struct phantom *phantom, const char *head, size_t head_len,
                const struct iovec *payload, unsigned count, size_t payload_len, uint16_t mss)
{
    int err = tun_write(&phantom->tun, head, head_len, payload, count, payload_len, mss);
    phantom->counters.packets_out += err == 0;
    phantom->counters.refused += err < 0;
    if (phantom->softnet_fd >= 0 && phantom->counters.packets_out % CROWD_LOOK == 0)
        crowd_wait(phantom);
}

/* With a network between, no segment is longer than a packet: its payload is then put together. */
static void segment_leaves(void *context, uint32_t line, const struct segment *segment,
                           const struct iovec *payload, unsigned count, uint16_t mss)
{
    struct phantom_ring *ring = context;
    char head[SEGMENT_HEAD_MAX], bytes[NETWORK_PACKET_MAX];
    size_t head_len = segment_head_write(head, segment), len = 0;
    if (ring->network && line != TCP_NOBODY) {
        for (unsigned i = 0; i < count; len += payload[i++].iov_len)
            memcpy(bytes + len, payload[i].iov_base, payload[i].iov_len);
        if (!network_pass(ring->network, line, NETWORK_TO_SERVER, head, head_len, bytes, len,
                          ring->now_ns))
            return;
    }
    put(ring->phantom, head, head_len, payload, count, segment->len, mss);
}

static void arrives(struct phantom_ring *ring, const char *packet, size_t len, bool vouched)
{
    struct segment segment;
    int err = segment_parse(&segment, packet, len, vouched);
    if (err < 0) {
        ring->phantom->counters.unreadable[-err]++;
        return;
    }
    uint32_t owner = ring->network ? tcp_owner(ring->tcp, &segment) : TCP_NOBODY;
    if (owner == TCP_NOBODY || len > NETWORK_PACKET_MAX ||
        network_pass(ring->network, owner, NETWORK_TO_CLIENT, packet, len, NULL, 0, ring->now_ns))
        tcp_input(ring->tcp, &segment);
}

/* What was under way and is there now. */
static void carry(struct phantom_ring *ring)
{
    const char *packet;
    size_t len, head_len;
    enum network_way way;
    while (ring->network &&
           (len = network_next(ring->network, ring->now_ns, &packet, &head_len, &way)) > 0) {
        const struct iovec payload = {(char *)(uintptr_t)packet + head_len, len - head_len};
        struct segment segment;
        if (way == NETWORK_TO_SERVER)
            put(ring->phantom, packet, head_len, &payload, len > head_len, len - head_len, TUN_MTU);
        else if (segment_parse(&segment, packet, len, true) == 0)
            tcp_input(ring->tcp, &segment);
    }
}

/* `count` packets were there to read. */
static void note_behind(struct phantom_ring *ring, unsigned count)
{
    int64_t *behind_ns = &ring->phantom->counters.behind_ns;
    if (count < PUMP_PACKETS)
        ring->since_ns = 0;
    else if (ring->since_ns == 0)
        ring->since_ns = ring->now_ns;
    else if (ring->now_ns - ring->since_ns > *behind_ns)
        *behind_ns = ring->now_ns - ring->since_ns;
}

static unsigned pump(struct phantom_ring *ring)
{
    struct phantom *phantom = ring->phantom;
    unsigned count = 0;
    bool vouched;
    ptrdiff_t len;
    while (count < PUMP_PACKETS &&
           (len = tun_read(&phantom->tun, &phantom->packet, &vouched)) >= 0) {
        count++;
        arrives(ring, phantom->packet.bytes, (size_t)len, vouched);
    }
    phantom->counters.packets_in += count;
    ring->base.stats.enters += count + 1;
    if (count > 0)
        ring->read_ns = ring->now_ns;
    note_behind(ring, count);
    return count;
}

/* ---- the ring ---- */

static struct phantom_ring *ring_of(struct ring *base)
{
    return (struct phantom_ring *)(void *)base;
}

static void happens(void *context, enum tcp_event event, uint32_t slot, int32_t res)
{
    static const enum ring_event_kind kinds[] = {
        [TCP_CONNECTED] = RING_CONNECTED,
        [TCP_READABLE] = RING_READABLE,
        [TCP_WRITABLE] = RING_WRITABLE,
    };
    struct phantom_ring *ring = context;
    if (event == TCP_CONNECTED && res < 0)
        ring->base.stats.slots_used--;
    ring_queue_push(&ring->queue, kinds[event], slot, res);
}

static void moves(void *context, uint32_t from, uint32_t to)
{
    const struct phantom_ring *ring = context;
    if (ring->network)
        network_move(ring->network, from, to);
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void look_at_the_clock(struct phantom_ring *ring)
{
    ring->now_ns = clock_ns();
    tcp_time(ring->tcp, ring->now_ns);
}

/* By the clock, and not by the device: see phantom_rest. */
static bool rest(const struct phantom_ring *ring, int64_t wait_ns)
{
    const struct timespec wait = {.tv_nsec = REST_NS};
    if (!ring->rests || ring->base.packets || wait_ns < REST_NS ||
        ring->now_ns - ring->read_ns > RESTLESS_NS)
        return false;
    nanosleep(&wait, NULL);
    return true;
}

static void sleep_for(struct phantom_ring *ring, int64_t wait_ns)
{
    wait_ns = tcp_wait_ns(ring->tcp, wait_ns);
    if (ring->network)
        wait_ns = network_wait_ns(ring->network, ring->now_ns, wait_ns);
    if (rest(ring, wait_ns))
        return;
    struct pollfd fds[1 + RING_PACKET_SOCKETS_MAX] = {
        {.fd = ring->phantom->tun.fd, .events = POLLIN}};
    unsigned watched[RING_PACKET_SOCKETS_MAX], count = 0;
    const struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    for (unsigned i = 0; ring->base.packets && i < RING_PACKET_SOCKETS_MAX; i++) {
        const struct ring_packet_socket *at = &ring->base.packets->list[i];
        if (!at->watched)
            continue;
        watched[count++] = i;
        fds[count] = (struct pollfd){.fd = at->fd, .events = POLLIN};
    }
    ring->base.stats.enters++;
    ppoll(fds, 1 + count, &wait, NULL);
    for (unsigned i = 0; i < count; i++) {
        if (!fds[1 + i].revents)
            continue;
        ring_packet_socket_at(&ring->base, watched[i])->watched = false;
        ring_queue_push(&ring->queue, RING_PACKETS, watched[i], fds[1 + i].revents);
    }
}

static int phantom_wait(struct ring *base, int64_t timeout_ns)
{
    struct phantom_ring *ring = ring_of(base);
    look_at_the_clock(ring);
    const int64_t until_ns = ring->now_ns + timeout_ns;
    if (base->packets)
        sleep_for(ring, 0); /* looks at them */
    for (;;) {
        unsigned count = pump(ring);
        carry(ring);
        tcp_advance(ring->tcp);
        if (ring_queue_count(&ring->queue) > 0 || ring->now_ns >= until_ns)
            return 0;
        if (count == 0)
            sleep_for(ring, until_ns - ring->now_ns);
        look_at_the_clock(ring);
    }
}

static bool phantom_next(struct ring *base, struct ring_event *event)
{
    return ring_queue_pop(&ring_of(base)->queue, event);
}

static enum tcp_watch watch_of(enum ring_direction direction)
{
    return direction == RING_READ ? TCP_WATCH_READ : TCP_WATCH_WRITE;
}

static void phantom_watch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    tcp_watch(ring_of(base)->tcp, slot, watch_of(direction));
}

static void phantom_unwatch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    tcp_unwatch(ring_of(base)->tcp, slot, watch_of(direction));
}

static int32_t send_all(struct tcp *tcp, uint32_t slot, const struct iovec *parts, size_t count)
{
    ptrdiff_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t taken = tcp_write(tcp, slot, parts[i].iov_base, parts[i].iov_len);
        if (taken < 0)
            return sent > 0 ? (int32_t)sent : (int32_t)taken;
        sent += taken;
        if ((size_t)taken < parts[i].iov_len)
            break;
    }
    return (int32_t)sent;
}

static void phantom_send(struct ring *base, struct ring_io *io, unsigned count)
{
    struct phantom_ring *ring = ring_of(base);
    base->stats.sends += count;
    for (unsigned i = 0; i < count; i++)
        io[i].res = io[i].msg
                        ? send_all(ring->tcp, io[i].slot, io[i].msg->msg_iov, io[i].msg->msg_iovlen)
                        : send_all(ring->tcp, io[i].slot, &io[i].iov, 1);
}

/* What has come is acknowledged also while the load has much to do with what came before: the
 * server would send it again. */
static void keep_up(struct phantom_ring *ring)
{
    if (clock_ns() - ring->now_ns < LATE_NS)
        return;
    look_at_the_clock(ring);
    pump(ring);
    carry(ring);
    tcp_advance(ring->tcp);
}

static void phantom_receive(struct ring *base, struct ring_io *io, unsigned count)
{
    keep_up(ring_of(base));
    base->stats.receives += count;
    for (unsigned i = 0; i < count; i++)
        io[i].res = (int32_t)tcp_read(ring_of(base)->tcp, io[i].slot, io[i].iov.iov_base,
                                      io[i].iov.iov_len);
}

static void phantom_shutdown(struct ring *base, uint32_t slot)
{
    struct phantom_ring *ring = ring_of(base);
    ring_queue_push(&ring->queue, RING_WRITABLE, slot, tcp_shutdown(ring->tcp, slot));
}

static void phantom_close_slot(struct ring *base, uint32_t slot)
{
    base->stats.slots_used--;
    tcp_close(ring_of(base)->tcp, slot);
}

static void phantom_connect(struct ring *base, uint32_t slot, const struct sockaddr_in *from,
                            const struct sockaddr_in *to)
{
    struct phantom_ring *ring = ring_of(base);
    base->stats.slots_used++;
    if (ring->network && slot < ring->config.near)
        network_begin(ring->network, slot, ring->now_ns);
    int err = tcp_open(ring->tcp, slot, from, to);
    if (err < 0)
        happens(ring, TCP_CONNECTED, slot, err);
}

static void phantom_abort(struct ring *base, uint32_t slot)
{
    tcp_abort(ring_of(base)->tcp, slot);
}

void phantom_silence(struct ring *ring, uint32_t slot)
{
    tcp_silence(ring_of(ring)->tcp, slot);
}

static int phantom_listen(struct ring *base, unsigned listener, int fd)
{
    (void)base, (void)listener, (void)fd;
    return -EOPNOTSUPP;
}

static void phantom_listen_stop(struct ring *base)
{
    (void)base;
}

/* Sockets for datagrams are the kernel's: they pass no device. */
static void phantom_packets_watch(struct ring *base, unsigned number)
{
    ring_packet_socket_at(base, number)->watched = true;
}

/* Its thread is the only one: nobody can sleep and be woken. */
static void phantom_wake(struct ring *base)
{
    (void)base;
}

static void phantom_ring_free(struct ring *base)
{
    struct phantom_ring *ring = ring_of(base);
    struct phantom_counters counters;
    if (ring->phantom->ring == ring) {
        phantom_count(ring->phantom, &counters);
        ring->phantom->counters = counters;
        ring->phantom->ring = NULL;
    }
    ring_packet_sockets_done(base);
    tcp_free(ring->tcp);
    network_free(ring->network);
    ring_queue_done(&ring->queue);
    free(ring);
}

static const struct ring_engine phantom_engine = {
    .name = "phantom",
    .listen = phantom_listen,
    .listen_stop = phantom_listen_stop,
    .wait = phantom_wait,
    .next = phantom_next,
    .watch = phantom_watch,
    .unwatch = phantom_unwatch,
    .send = phantom_send,
    .receive = phantom_receive,
    .shutdown = phantom_shutdown,
    .close = phantom_close_slot,
    .connect = phantom_connect,
    .abort = phantom_abort,
    .packets_open = ring_packet_socket_open,
    .packets_watch = phantom_packets_watch,
    .packets_receive = ring_packet_sockets_receive,
    .packets_send = ring_packet_sockets_send,
    .wake = phantom_wake,
    .free = phantom_ring_free,
};

static struct tcp_config tcp_config_of(struct phantom_ring *ring)
{
    const struct phantom_config *config = &ring->phantom->config;
    bool lossy = network_wanted(&config->network);
    return (struct tcp_config){
        .slots = ring->config.slots,
        .orphans = ORPHANS,
        .chunks = PHANTOM_CHUNKS,
        .first_address = ring->config.first_address,
        .address_count = ring->config.address_count,
        .port_first = ring->config.port_first,
        .port_count = ring->config.port_count,
        .mtu = TUN_MTU,
        .large = !lossy,
        .sack = lossy || config->sack,
        .timestamps = config->timestamps,
        .window_scale = config->window_scale,
        .calls = {ring, segment_leaves, moves, happens},
    };
}

void phantom_rest(struct ring *ring, bool rests)
{
    if (ring->engine == &phantom_engine)
        ring_of(ring)->rests = rests;
}

int phantom_ring_create(struct ring **ret, struct phantom *phantom,
                        const struct phantom_ring_config *config, char *why, size_t why_size)
{
    assert(!phantom->ring);
    struct phantom_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->base = (struct ring){.engine = &phantom_engine, .capacity = config->slots};
    ring->phantom = phantom;
    ring->config = *config;
    const struct tcp_config tcp = tcp_config_of(ring);
    int err = ring_queue_init(&ring->queue);
    if (err == 0)
        err = tcp_create(&ring->tcp, &tcp);
    if (err == 0 && network_wanted(&phantom->config.network))
        err = network_create(&ring->network, &phantom->config.network, tcp_lines(&tcp));
    if (err < 0) {
        phantom_ring_free(&ring->base);
        snprintf(why, why_size, "no memory for %u clients without sockets", config->slots);
        return err;
    }
    phantom->ring = ring;
    look_at_the_clock(ring);
    *ret = &ring->base;
    return 0;
}
