/* ring_epoll_setup: making and freeing the epoll engine. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/ring_epoll.h"
#include "core/ring_packets.h"
#include "core/ring_peers.h"

void ring_epoll_free(struct ring *base)
{
    struct ring_epoll *ring = (struct ring_epoll *)base;
    for (uint32_t i = 0; i < ring->slots_high; i++)
        if (ring->slots[i].flags & SLOT_OPEN)
            close(ring->slots[i].fd);
    if (ring->bell >= 0)
        close(ring->bell);
    if (ring->epoll_fd >= 0)
        close(ring->epoll_fd);
    ring_queue_done(&ring->queue);
    ring_peers_done(&ring->base);
    ring_packet_sockets_done(&ring->base);
    free(ring->slots);
    free(ring);
}

static int engine_init(struct ring_epoll *ring, const struct ring_config *config)
{
    uint32_t capacity = config->capacity;
    ring->base.capacity = capacity + capacity / EPOLL_SPARE_SHARE + 1;
    ring->slots = calloc(ring->base.capacity, sizeof *ring->slots);
    ring->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (ring->epoll_fd < 0)
        return -errno;
    ring->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ring->bell < 0)
        return -errno;
    int err = ring->slots ? ring_queue_init(&ring->queue) : -ENOMEM;
    if (err == 0 && config->peers)
        err = ring_peers_init(&ring->base);
    if (err == 0)
        err = ring_epoll_control(ring, EPOLL_CTL_ADD, ring->bell, EPOLLIN | (uint32_t)EPOLLET,
                                 EPOLL_TAG_BELL);
    return err;
}

int ring_epoll_create(struct ring **ret, const struct ring_config *config, char *why,
                      size_t why_size)
{
    assert(config->capacity > 0 && !config->client);
    struct ring_epoll *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->base.engine = &ring_epoll_engine;
    ring->epoll_fd = -1;
    ring->bell = -1;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        ring->listeners[i].fd = -1;
    ring->free_head = EPOLL_SLOT_NONE;
    int err = engine_init(ring, config);
    if (err < 0) {
        const char *hint = err == -EMFILE ? "; raise `ulimit -n`" : "";
        snprintf(why, why_size, "epoll could not be set up: %s%s", strerror(-err), hint);
        ring_epoll_free(&ring->base);
        return err;
    }
    *ret = &ring->base;
    return 0;
}
