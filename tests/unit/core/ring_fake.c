/* ring_fake: the engine: slots, watches, events. The network behind it is in ring_fake_net.c. */
#include "ring_fake_net.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct due_event {
    struct ring_event event;
    int64_t due_ns;
};

/* Events on their way, in the order of their causes; then those that ring_wait has taken. */
struct due_list {
    struct due_event *events;
    uint32_t count;
    uint32_t size;
};

struct fake_ring {
    struct ring base;
    struct fake_net *net;
    struct fake_ring *next;
    bool client;
    int ports[RING_LISTENERS_MAX]; /* -1: does not listen */
    bool woken;
    uint32_t freed_last;
    struct fake_udp *sockets[RING_PACKET_SOCKETS_MAX];
    struct fake_end **slots; /* NULL: free, or being connected */
    bool *connecting;
    struct due_list coming;
    struct due_list taken;
    uint32_t taken_head;
};

static struct fake_ring *fake_of(struct ring *base)
{
    return (struct fake_ring *)base;
}

static struct fake_end *end_at(struct fake_ring *ring, uint32_t slot)
{
    assert(slot < ring->base.capacity && "a slot of this ring");
    assert(ring->slots[slot] && "a slot in use");
    return ring->slots[slot];
}

static void slot_free(struct fake_ring *ring, uint32_t slot)
{
    ring->slots[slot] = NULL;
    ring->freed_last = slot;
    assert(ring->base.stats.slots_used > 0);
    ring->base.stats.slots_used--;
}

/* ---- events ---- */

static void due_push(struct due_list *list, struct due_event event)
{
    if (list->count == list->size) {
        list->size = list->size ? 2 * list->size : 64;
        list->events = realloc(list->events, list->size * sizeof *list->events);
        assert(list->events);
    }
    list->events[list->count++] = event;
}

static void event_soon(struct fake_ring *ring, enum ring_event_kind kind, uint32_t slot,
                       int32_t res)
{
    due_push(&ring->coming, (struct due_event){{kind, slot, res}, fake_soon(ring->net)});
}

static void watch_done(struct fake_end *end, enum ring_direction direction, int32_t res)
{
    assert(end->watches[direction] == WATCH_OUT);
    end->watches[direction] = WATCH_DONE;
    event_soon(end->ring, direction == RING_READ ? RING_READABLE : RING_WRITABLE, end->slot, res);
}

void fake_ring_notice(struct fake_end *end)
{
    for (enum ring_direction direction = RING_READ; end->ring && direction <= RING_WRITE;
         direction++) {
        int32_t events = fake_end_poll(end, direction);
        if (end->watches[direction] == WATCH_OUT && events != 0)
            watch_done(end, direction, events);
    }
}

/* Any free slot; half of the time the one that was freed last, so that what comes late for its
 * previous use meets the next. */
static uint32_t free_slot(struct fake_ring *ring)
{
    uint32_t start =
        ring->net->config.shuffled ? (uint32_t)fake_below(ring->net, ring->base.capacity) : 0;
    if (ring->net->config.shuffled && fake_chance(ring->net, 500))
        start = ring->freed_last;
    for (uint32_t i = 0; i < ring->base.capacity; i++) {
        uint32_t slot = (start + i) % ring->base.capacity;
        if (!ring->slots[slot])
            return slot;
    }
    assert(!"a free slot");
    return 0;
}

static bool accepts(const struct fake_ring *ring, unsigned listener)
{
    return ring->ports[listener] >= 0 && ring->base.stats.slots_used < ring->base.capacity;
}

/* Accepts what has arrived, as far as there are slots. */
static void accept_arrivals(struct fake_ring *ring, unsigned listener)
{
    struct fake_end *end;
    while (accepts(ring, listener) &&
           (end = fake_arrival_take(ring->net, (unsigned)ring->ports[listener]))) {
        if (fake_chance(ring->net, ring->net->config.accept_refused)) {
            fake_end_reset(end);
            fake_end_close(end);
            due_push(&ring->coming,
                     (struct due_event){{RING_REFUSED, 0, -ENFILE}, ring->net->now_ns});
            continue;
        }
        end->slot = free_slot(ring);
        end->ring = ring;
        ring->slots[end->slot] = end;
        ring->base.stats.slots_used++;
        if (ring->base.peers)
            ring->base.peers[end->slot] = end->address;
        due_push(&ring->coming, (struct due_event){{RING_ACCEPTED, end->slot, (int32_t)listener},
                                                   ring->net->now_ns});
    }
}

static void shuffle(struct fake_ring *ring, struct due_list *list, uint32_t first)
{
    for (uint32_t i = list->count; i > first + 1; i--) {
        uint32_t other = first + (uint32_t)fake_below(ring->net, i - first);
        struct due_event event = list->events[i - 1];
        list->events[i - 1] = list->events[other];
        list->events[other] = event;
    }
}

/* Moves what is due to what ring_next gives. */
static void take_due(struct fake_ring *ring)
{
    if (ring->taken_head == ring->taken.count)
        ring->taken_head = ring->taken.count = 0;
    uint32_t first = ring->taken.count, kept = 0;
    for (uint32_t i = 0; i < ring->coming.count; i++) {
        if (ring->coming.events[i].due_ns <= ring->net->now_ns)
            due_push(&ring->taken, ring->coming.events[i]);
        else
            ring->coming.events[kept++] = ring->coming.events[i];
    }
    ring->coming.count = kept;
    if (ring->net->config.shuffled)
        shuffle(ring, &ring->taken, first);
}

static int fake_wait(struct ring *base, int64_t timeout_ns)
{
    struct fake_ring *ring = fake_of(base);
    (void)timeout_ns;
    base->stats.enters++;
    ring->woken = false;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        accept_arrivals(ring, i);
    for (unsigned i = 0; i < RING_PACKET_SOCKETS_MAX; i++)
        if (ring->sockets[i] && fake_udp_fires(ring->sockets[i]))
            due_push(&ring->coming,
                     (struct due_event){{RING_PACKETS, i, POLLIN}, ring->net->now_ns});
    take_due(ring);
    return 0;
}

/* The event has been seen: its watch, or its connect, is over. */
static void event_seen(struct fake_ring *ring, const struct ring_event *event)
{
    switch (event->kind) {
    case RING_ACCEPTED:
    case RING_REFUSED:
        break;
    case RING_PACKETS:
        break;
    case RING_CONNECTED:
        ring->connecting[event->slot] = false;
        if (event->res < 0)
            slot_free(ring, event->slot);
        break;
    case RING_READABLE:
        end_at(ring, event->slot)->watches[RING_READ] = WATCH_NONE;
        break;
    case RING_WRITABLE:
        end_at(ring, event->slot)->watches[RING_WRITE] = WATCH_NONE;
        break;
    }
}

static bool fake_next(struct ring *base, struct ring_event *event)
{
    struct fake_ring *ring = fake_of(base);
    if (ring->taken_head == ring->taken.count)
        return false;
    *event = ring->taken.events[ring->taken_head++].event;
    event_seen(ring, event);
    fake_trace(ring->net,
               (uint64_t)event->kind << 56 ^ (uint64_t)event->slot << 24 ^ (uint32_t)event->res);
    return true;
}

int64_t fake_ring_due(const struct fake_ring *ring)
{
    if (ring->woken || ring->taken_head < ring->taken.count)
        return ring->net->now_ns;
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        int64_t arrival_due =
            accepts(ring, i) ? fake_arrival_due(ring->net, (unsigned)ring->ports[i]) : INT64_MAX;
        due = arrival_due < due ? arrival_due : due;
    }
    for (unsigned i = 0; i < RING_PACKET_SOCKETS_MAX; i++) {
        int64_t packet_due = ring->sockets[i] ? fake_udp_due(ring->sockets[i]) : INT64_MAX;
        due = packet_due < due ? packet_due : due;
    }
    for (uint32_t i = 0; i < ring->coming.count; i++)
        if (ring->coming.events[i].due_ns < due)
            due = ring->coming.events[i].due_ns;
    return due;
}

struct fake_ring *fake_ring_next(const struct fake_ring *ring)
{
    return ring->next;
}

const struct ring *fake_ring_base(const struct fake_ring *ring)
{
    return &ring->base;
}

int64_t ring_fake_due(const struct ring *ring)
{
    return fake_ring_due((const struct fake_ring *)ring);
}

/* ---- operations ---- */

static int fake_listen(struct ring *base, unsigned listener, int fd)
{
    struct fake_ring *ring = fake_of(base);
    assert(fd >= 0 && listener < RING_LISTENERS_MAX);
    assert(!ring->client && ring->ports[listener] < 0 && "ring_listen on a server's ring, once");
    ring->ports[listener] = (int)fake_port_of(ring->net, fd);
    fake_backlog_look(ring->net, (unsigned)ring->ports[listener]);
    return 0;
}

static void fake_listen_stop(struct ring *base)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        fake_of(base)->ports[i] = -1;
}

static void fake_watch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct fake_end *end = end_at(fake_of(base), slot);
    assert(end->watches[direction] == WATCH_NONE && "one watch a direction");
    end->watches[direction] = WATCH_OUT;
    fake_ring_notice(end);
}

/* An event that has been caused by now is not called back. */
static void fake_unwatch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct fake_end *end = end_at(fake_of(base), slot);
    if (end->watches[direction] == WATCH_OUT)
        watch_done(end, direction, -ECANCELED);
}

static ssize_t send_vectors(struct fake_end *end, const struct msghdr *msg)
{
    ssize_t total = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        struct iovec part = msg->msg_iov[i];
        if (part.iov_len == 0)
            continue;
        ssize_t n = fake_end_send(end, part.iov_base, part.iov_len);
        if (n < 0)
            return total > 0 ? total : n;
        total += n;
        if ((size_t)n < part.iov_len)
            break;
    }
    return total;
}

/* Completions may come to light while a batch runs. */
static void batch_ran(struct fake_ring *ring, const struct ring_io *io, unsigned count)
{
    ring->base.stats.enters++;
    for (unsigned i = 0; i < count; i++)
        fake_trace(ring->net, (uint64_t)io[i].slot << 32 ^ (uint32_t)io[i].res);
    if (ring->net->config.shuffled && fake_chance(ring->net, 300))
        take_due(ring);
}

static void fake_send(struct ring *base, struct ring_io *io, unsigned count)
{
    struct fake_ring *ring = fake_of(base);
    assert(count <= RING_BATCH_MAX && "a batch of at most RING_BATCH_MAX");
    base->stats.sends += count;
    for (unsigned i = 0; i < count; i++) {
        struct fake_end *end = end_at(ring, io[i].slot);
        io[i].res =
            (int32_t)(io[i].msg ? send_vectors(end, io[i].msg)
                                : fake_end_send(end, io[i].iov.iov_base, io[i].iov.iov_len));
    }
    batch_ran(ring, io, count);
}

static void fake_receive(struct ring *base, struct ring_io *io, unsigned count)
{
    struct fake_ring *ring = fake_of(base);
    assert(count <= RING_BATCH_MAX && "a batch of at most RING_BATCH_MAX");
    base->stats.receives += count;
    for (unsigned i = 0; i < count; i++)
        io[i].res = (int32_t)fake_end_receive(end_at(ring, io[i].slot), io[i].iov.iov_base,
                                              io[i].iov.iov_len);
    batch_ran(ring, io, count);
}

/* ---- datagrams ---- */

static struct fake_udp *socket_at(struct ring *base, unsigned number)
{
    assert(number < RING_PACKET_SOCKETS_MAX && fake_of(base)->sockets[number] && "an open one");
    return fake_of(base)->sockets[number];
}

static int fake_packets_open(struct ring *base, unsigned number, int fd)
{
    struct fake_ring *ring = fake_of(base);
    assert(number < RING_PACKET_SOCKETS_MAX && !ring->sockets[number] && "opened once");
    ring->sockets[number] = fake_udp_bind(ring->net, fd);
    return 0;
}

static void fake_packets_watch(struct ring *base, unsigned number)
{
    fake_udp_watch(socket_at(base, number));
}

static unsigned fake_packets_receive(struct ring *base, unsigned number,
                                     struct ring_packet *packets, unsigned count)
{
    struct fake_udp *socket = socket_at(base, number);
    assert(count <= RING_PACKETS_MAX);
    unsigned got = 0;
    while (got < count && fake_udp_take(socket, &packets[got]))
        got++;
    base->stats.receives += got;
    base->stats.enters++;
    return got;
}

static void fake_packets_send(struct ring *base, unsigned number, struct ring_packet *packets,
                              unsigned count)
{
    struct fake_udp *socket = socket_at(base, number);
    assert(count <= RING_PACKETS_MAX);
    base->stats.sends += count;
    base->stats.enters++;
    for (unsigned i = 0; i < count; i++)
        fake_udp_give(socket, &packets[i]);
}

static void fake_shutdown(struct ring *base, uint32_t slot)
{
    struct fake_end *end = end_at(fake_of(base), slot);
    assert(end->watches[RING_WRITE] == WATCH_NONE && "one watch a direction");
    assert(!end->fin_sent && "one FIN");
    int32_t res = end->reset ? -ENOTCONN : 0;
    fake_end_shutdown(end);
    end->watches[RING_WRITE] = WATCH_OUT;
    watch_done(end, RING_WRITE, res);
}

static void fake_close(struct ring *base, uint32_t slot)
{
    struct fake_ring *ring = fake_of(base);
    struct fake_end *end = end_at(ring, slot);
    assert(end->watches[RING_READ] == WATCH_NONE && end->watches[RING_WRITE] == WATCH_NONE &&
           "ring_close when no watch is out");
    assert(!ring->connecting[slot] && "ring_close after RING_CONNECTED");
    slot_free(ring, slot);
    end->ring = NULL;
    fake_end_close(end);
}

static void fake_abort(struct ring *base, uint32_t slot)
{
    fake_end_reset(end_at(fake_of(base), slot));
}

static void fake_wake(struct ring *base)
{
    fake_of(base)->woken = true;
}

static void fake_free(struct ring *base)
{
    struct fake_ring *ring = fake_of(base);
    for (uint32_t slot = 0; slot < base->capacity; slot++) {
        if (ring->slots[slot]) {
            ring->slots[slot]->ring = NULL;
            fake_end_close(ring->slots[slot]);
        }
    }
    for (unsigned i = 0; i < RING_PACKET_SOCKETS_MAX; i++)
        if (ring->sockets[i])
            fake_udp_close(ring->sockets[i]);
    struct fake_ring **link = &ring->net->rings;
    while (*link != ring)
        link = &(*link)->next;
    *link = ring->next;
    free(ring->slots);
    free(ring->connecting);
    free(ring->base.peers);
    free(ring->coming.events);
    free(ring->taken.events);
    free(ring);
}

/* ---- client side ---- */

static bool address_taken(const struct fake_net *net, const struct sockaddr_in *from)
{
    for (const struct fake_end *end = net->ends; end; end = end->next)
        if (from->sin_port != 0 && end->from.sin_port == from->sin_port &&
            end->from.sin_addr.s_addr == from->sin_addr.s_addr)
            return true;
    return false;
}

static bool somebody_listens(const struct fake_net *net, int port)
{
    for (const struct fake_ring *ring = net->rings; ring; ring = ring->next)
        if (ring->ports[0] == port || ring->ports[1] == port)
            return true;
    return false;
}

/* The port of `to` is the number that a ring listens on; its address is ignored. */
static void fake_connect(struct ring *base, uint32_t slot, const struct sockaddr_in *from,
                         const struct sockaddr_in *to)
{
    struct fake_ring *ring = fake_of(base);
    assert(ring->client && slot < base->capacity && !ring->slots[slot] && !ring->connecting[slot]);
    unsigned port = fake_port_of(ring->net, ntohs(to->sin_port));
    base->stats.slots_used++;
    ring->connecting[slot] = true;
    if (address_taken(ring->net, from)) {
        event_soon(ring, RING_CONNECTED, slot, -EADDRINUSE);
    } else if (!somebody_listens(ring->net, (int)port)) {
        event_soon(ring, RING_CONNECTED, slot, -ECONNREFUSED);
    } else {
        struct fake_end *end = fake_end_pair(ring->net);
        end->ring = ring;
        end->slot = slot;
        end->from = *from;
        ring->slots[slot] = end;
        fake_arrive(ring->net, port, end->peer);
        event_soon(ring, RING_CONNECTED, slot, 0);
    }
}

/* ---- making ---- */

static const struct ring_engine fake_engine = {
    .name = "fake",
    .listen = fake_listen,
    .listen_stop = fake_listen_stop,
    .wait = fake_wait,
    .next = fake_next,
    .watch = fake_watch,
    .unwatch = fake_unwatch,
    .send = fake_send,
    .receive = fake_receive,
    .shutdown = fake_shutdown,
    .close = fake_close,
    .connect = fake_connect,
    .abort = fake_abort,
    .packets_open = fake_packets_open,
    .packets_watch = fake_packets_watch,
    .packets_receive = fake_packets_receive,
    .packets_send = fake_packets_send,
    .wake = fake_wake,
    .free = fake_free,
};

struct ring *ring_fake_create(struct fake_net *net, const struct ring_config *config)
{
    assert(config->capacity > 0);
    struct fake_ring *ring = calloc(1, sizeof *ring);
    assert(ring);
    ring->base =
        (struct ring){.engine = &fake_engine, .capacity = config->capacity, .stats.tables = 1};
    ring->net = net;
    ring->client = config->client;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        ring->ports[i] = -1;
    ring->slots = calloc(config->capacity, sizeof *ring->slots);
    ring->connecting = calloc(config->capacity, sizeof *ring->connecting);
    assert(ring->slots && ring->connecting);
    if (config->peers) {
        ring->base.peers = calloc(config->capacity, sizeof *ring->base.peers);
        assert(ring->base.peers);
    }
    ring->next = net->rings;
    net->rings = ring;
    return &ring->base;
}
