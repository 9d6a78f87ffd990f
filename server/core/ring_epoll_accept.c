/* ring_epoll_accept: how slots are taken and given back.
 *
 * The listening sockets are registered while a slot is free. So no connection is accepted that has
 * none, and those of a full ring wait in the backlog without waking anybody. */
#include "core/ring_epoll.h"
#include "core/ring_peers.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- slots ---- */

static bool slot_is_free(const struct ring_epoll *ring)
{
    return ring->free_head != EPOLL_SLOT_NONE || ring->slots_high < ring->base.capacity;
}

static uint32_t slot_take(struct ring_epoll *ring, int fd)
{
    uint32_t slot;
    if (ring->free_head != EPOLL_SLOT_NONE) {
        slot = (uint32_t)ring->free_head;
        ring->free_head = ring->slots[slot].fd;
    } else {
        assert(ring->slots_high < ring->base.capacity);
        slot = ring->slots_high++;
    }
    ring->slots[slot] = (struct epoll_slot){.fd = fd, .flags = SLOT_OPEN};
    ring->base.stats.slots_used++;
    return slot;
}

/* Closing also ends the registration, since nobody else has the descriptor. */
static void slot_give_back(struct ring_epoll *ring, uint32_t slot)
{
    close(ring->slots[slot].fd);
    ring->base.stats.enters++;
    ring->base.stats.slots_used--;
    ring->slots[slot] = (struct epoll_slot){.fd = ring->free_head};
    ring->free_head = (int32_t)slot;
}

/* ---- accepting ---- */

static int listener_set(struct ring_epoll *ring, unsigned index, bool registered)
{
    struct epoll_listener *listener = &ring->listeners[index];
    if (listener->fd < 0 || listener->registered == registered)
        return 0;
    int err = ring_epoll_control(ring, registered ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd,
                                 EPOLLIN, EPOLL_TAG_LISTENER + index);
    listener->registered = registered && err == 0;
    return err;
}

static void listeners_set(struct ring_epoll *ring, bool registered)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        listener_set(ring, i, registered);
}

int ring_epoll_listen(struct ring *base, unsigned listener, int fd)
{
    struct ring_epoll *ring = (struct ring_epoll *)base;
    assert(fd >= 0 && listener < RING_LISTENERS_MAX && ring->listeners[listener].fd < 0);
    ring->listeners[listener].fd = fd;
    return slot_is_free(ring) ? listener_set(ring, listener, true) : 0;
}

void ring_epoll_listen_stop(struct ring *base)
{
    struct ring_epoll *ring = (struct ring_epoll *)base;
    listeners_set(ring, false);
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        ring->listeners[i].fd = -1;
}

/* One connection. Returns 0, or negative errno when the loop has to end: -EAGAIN when there is none
 * left. */
static int accept_one(struct ring_epoll *ring, unsigned listener)
{
    ring->base.stats.enters++;
    struct sockaddr_in6 peer;
    socklen_t size = sizeof peer;
    bool told = ring->base.peers != NULL;
    int fd = accept4(ring->listeners[listener].fd, told ? (struct sockaddr *)&peer : NULL,
                     told ? &size : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    uint32_t slot = slot_take(ring, fd);
    if (told)
        ring_peers_set(&ring->base, slot, &peer);
    int err =
        ring_epoll_control(ring, EPOLL_CTL_ADD, fd, EPOLL_READ_EVENTS | (uint32_t)EPOLLET, slot);
    if (err < 0)
        slot_give_back(ring, slot);
    else
        ring_queue_push(&ring->queue, RING_ACCEPTED, slot, (int32_t)listener);
    return err;
}

void ring_epoll_accept(struct ring_epoll *ring, unsigned listener)
{
    int err = 0;
    for (int i = 0; i < EPOLL_ACCEPTS_PER_WAIT && slot_is_free(ring) && err == 0; i++)
        err = accept_one(ring, listener);
    if (err < 0 && err != -EAGAIN && err != -EINTR)
        ring_queue_push(&ring->queue, RING_REFUSED, 0, err);
    if (!slot_is_free(ring))
        listeners_set(ring, false);
}

void ring_epoll_close(struct ring *base, uint32_t slot)
{
    struct ring_epoll *ring = (struct ring_epoll *)base;
    assert(slot < ring->slots_high && ring->slots[slot].flags & SLOT_OPEN);
    assert(!(ring->slots[slot].flags & (SLOT_WATCH_READ | SLOT_WATCH_WRITE)));
    slot_give_back(ring, slot);
    listeners_set(ring, true);
}
