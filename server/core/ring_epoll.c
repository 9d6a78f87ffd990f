/* ring_epoll: the engine for where io_uring is not to be had, and for measuring what io_uring is
 * worth. docs/decisions/epoll-as-fallback.md. */
#include "core/ring_epoll.h"
#include "core/ring_packets.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ENDED_EVENTS = EPOLLHUP | EPOLLERR,
    NS_PER_MS = 1000000,
};
static_assert(EPOLLIN == POLLIN && EPOLLPRI == POLLPRI && EPOLLOUT == POLLOUT &&
                  EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
              "events of epoll are given as those of poll");

static struct ring_epoll *epoll_of(struct ring *base)
{
    return (struct ring_epoll *)base;
}

static struct epoll_slot *slot_at(struct ring_epoll *ring, uint32_t slot)
{
    assert(slot < ring->slots_high && ring->slots[slot].flags & SLOT_OPEN);
    return &ring->slots[slot];
}

int ring_epoll_control(struct ring_epoll *ring, int operation, int fd, uint32_t events,
                       uint64_t tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    ring->base.stats.enters++;
    return epoll_ctl(ring->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* ---- watches ---- */

static void fire_read(struct ring_epoll *ring, uint32_t slot, int32_t res)
{
    ring->slots[slot].flags &= ~(uint32_t)SLOT_WATCH_READ;
    ring_queue_push(&ring->queue, RING_READABLE, slot, res);
}

static void fire_write(struct ring_epoll *ring, uint32_t slot, int32_t res)
{
    ring->slots[slot].flags &= ~(uint32_t)SLOT_WATCH_WRITE;
    ring_queue_push(&ring->queue, RING_WRITABLE, slot, res);
}

static void ready(struct ring_epoll *ring, uint32_t slot, uint32_t events)
{
    uint32_t *flags = &slot_at(ring, slot)->flags;
    if (events & (EPOLL_READ_EVENTS | ENDED_EVENTS))
        *flags |= SLOT_READY_READ;
    if (events & (EPOLLRDHUP | EPOLLPRI | ENDED_EVENTS))
        *flags |= SLOT_SHORT_IS_NO_END;
    if (events & (EPOLLOUT | ENDED_EVENTS))
        *flags |= SLOT_READY_WRITE;
    if ((*flags & (SLOT_WATCH_READ | SLOT_READY_READ)) == (SLOT_WATCH_READ | SLOT_READY_READ))
        fire_read(ring, slot, (int32_t)events);
    if ((*flags & (SLOT_WATCH_WRITE | SLOT_READY_WRITE)) == (SLOT_WATCH_WRITE | SLOT_READY_WRITE))
        fire_write(ring, slot, (int32_t)events);
}

static void watch_write(struct ring_epoll *ring, uint32_t slot)
{
    struct epoll_slot *at = slot_at(ring, slot);
    assert(!(at->flags & SLOT_WATCH_WRITE) && "one watch for each direction");
    at->flags |= SLOT_WATCH_WRITE;
    if (at->flags & SLOT_READY_WRITE) {
        fire_write(ring, slot, POLLOUT);
    } else if (!(at->flags & SLOT_SEES_WRITE)) {
        at->flags |= SLOT_SEES_WRITE;
        int err = ring_epoll_control(ring, EPOLL_CTL_MOD, at->fd,
                                     EPOLL_READ_EVENTS | EPOLLOUT | (uint32_t)EPOLLET, slot);
        assert(err == 0);
    }
}

static void epoll_watch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct ring_epoll *ring = epoll_of(base);
    if (direction == RING_WRITE) {
        watch_write(ring, slot);
        return;
    }
    struct epoll_slot *at = slot_at(ring, slot);
    assert(!(at->flags & SLOT_WATCH_READ) && "one watch for each direction");
    at->flags |= SLOT_WATCH_READ;
    if (at->flags & SLOT_READY_READ)
        fire_read(ring, slot, POLLIN);
}

/* A watch that has fired is over, also when nobody has taken its event yet. */
static void epoll_unwatch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct ring_epoll *ring = epoll_of(base);
    uint32_t flags = slot_at(ring, slot)->flags;
    if (direction == RING_READ && flags & SLOT_WATCH_READ)
        fire_read(ring, slot, -ECANCELED);
    else if (direction == RING_WRITE && flags & SLOT_WATCH_WRITE)
        fire_write(ring, slot, -ECANCELED);
}

/* ---- turning ---- */

static int wait_ms(const struct ring_epoll *ring, int64_t timeout_ns)
{
    if (timeout_ns <= 0 || ring_queue_count(&ring->queue) > 0)
        return 0;
    int64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* What fires between two waits, because its socket is known to be ready, is given after the second:
 * otherwise a client that never stops sending would keep a turn from ending. */
static int epoll_turn(struct ring *base, int64_t timeout_ns)
{
    struct ring_epoll *ring = epoll_of(base);
    int count =
        epoll_wait(ring->epoll_fd, ring->events, EPOLL_EVENTS_PER_WAIT, wait_ms(ring, timeout_ns));
    base->stats.enters++;
    if (count < 0 && errno != EINTR)
        return -errno;
    for (int i = 0; i < count; i++) {
        const struct epoll_event *event = &ring->events[i];
        if (event->data.u64 < EPOLL_TAG_PACKETS)
            ready(ring, (uint32_t)event->data.u64, event->events);
        else if (event->data.u64 < EPOLL_TAG_LISTENER)
            ring_epoll_packets_ready(ring, (unsigned)(event->data.u64 - EPOLL_TAG_PACKETS),
                                     event->events);
        else if (event->data.u64 != EPOLL_TAG_BELL)
            ring_epoll_accept(ring, (unsigned)(event->data.u64 - EPOLL_TAG_LISTENER));
    }
    ring->due = ring_queue_count(&ring->queue);
    return 0;
}

static bool epoll_next(struct ring *base, struct ring_event *event)
{
    struct ring_epoll *ring = epoll_of(base);
    if (ring->due == 0 && ring_queue_count(&ring->queue) > 0)
        return false;
    if (!ring_queue_pop(&ring->queue, event))
        return false;
    ring->due--;
    return true;
}

/* ---- batches: one system call for each entry ---- */

static size_t io_bytes(const struct ring_io *io)
{
    size_t bytes = 0;
    if (!io->msg)
        return io->iov.iov_len;
    for (size_t i = 0; i < io->msg->msg_iovlen; i++)
        bytes += io->msg->msg_iov[i].iov_len;
    return bytes;
}

static void epoll_send(struct ring *base, struct ring_io *io, unsigned count)
{
    struct ring_epoll *ring = epoll_of(base);
    assert(count <= RING_BATCH_MAX);
    base->stats.sends += count;
    base->stats.enters += count;
    for (unsigned i = 0; i < count; i++) {
        struct epoll_slot *at = slot_at(ring, io[i].slot);
        ssize_t sent = io[i].msg
                           ? sendmsg(at->fd, io[i].msg, MSG_NOSIGNAL)
                           : send(at->fd, io[i].iov.iov_base, io[i].iov.iov_len, MSG_NOSIGNAL);
        io[i].res = sent < 0 ? -errno : (int32_t)sent;
        if (at->flags & SLOT_READY_WRITE && (sent < 0 || (size_t)sent < io_bytes(&io[i])))
            at->flags &= ~(uint32_t)SLOT_READY_WRITE;
    }
}

static void receive_one(struct epoll_slot *at, struct ring_io *io)
{
    ssize_t received = recv(at->fd, io->iov.iov_base, io->iov.iov_len, 0);
    io->res = received < 0 ? -errno : (int32_t)received;
    bool is_short = received > 0 && (size_t)received < io->iov.iov_len;
    if (io->res == -EAGAIN || (is_short && !(at->flags & SLOT_SHORT_IS_NO_END)))
        at->flags &= ~(uint32_t)SLOT_READY_READ;
}

static void epoll_receive(struct ring *base, struct ring_io *io, unsigned count)
{
    struct ring_epoll *ring = epoll_of(base);
    assert(count <= RING_BATCH_MAX);
    base->stats.receives += count;
    base->stats.enters += count;
    for (unsigned i = 0; i < count; i++)
        receive_one(slot_at(ring, io[i].slot), &io[i]);
}

/* ---- the rest ---- */

/* Its event is due like that of a watch which found the socket ready. */
static void epoll_shutdown(struct ring *base, uint32_t slot)
{
    struct ring_epoll *ring = epoll_of(base);
    struct epoll_slot *at = slot_at(ring, slot);
    assert(!(at->flags & SLOT_WATCH_WRITE) && "one watch for each direction");
    base->stats.enters++;
    fire_write(ring, slot, shutdown(at->fd, SHUT_WR) < 0 ? -errno : 0);
}

/* Connecting to AF_UNSPEC dissolves the association: TCP sends RST and keeps no TIME_WAIT. */
static void epoll_abort(struct ring *base, uint32_t slot)
{
    static const struct sockaddr_in nowhere = {.sin_family = AF_UNSPEC};
    base->stats.enters++;
    int err = connect(slot_at(epoll_of(base), slot)->fd, (const struct sockaddr *)&nowhere,
                      sizeof nowhere);
    assert(err == 0);
}

static void epoll_connect(struct ring *base, uint32_t slot, const struct sockaddr_in *from,
                          const struct sockaddr_in *to)
{
    (void)base, (void)slot, (void)from, (void)to;
    assert(!"a ring on epoll only accepts");
}

static void epoll_wake(struct ring *base)
{
    uint64_t one = 1;
    if (write(epoll_of(base)->bell, &one, sizeof one) < 0)
        assert(errno == EAGAIN);
}

const struct ring_engine ring_epoll_engine = {
    .name = "epoll",
    .listen = ring_epoll_listen,
    .listen_stop = ring_epoll_listen_stop,
    .wait = epoll_turn,
    .next = epoll_next,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .send = epoll_send,
    .receive = epoll_receive,
    .shutdown = epoll_shutdown,
    .close = ring_epoll_close,
    .connect = epoll_connect,
    .abort = epoll_abort,
    .packets_open = ring_epoll_packets_open,
    .packets_watch = ring_epoll_packets_watch,
    .packets_receive = ring_packet_sockets_receive,
    .packets_send = ring_packet_sockets_send,
    .wake = epoll_wake,
    .free = ring_epoll_free,
};
