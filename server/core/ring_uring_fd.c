/* ring_uring_fd: io_uring on ordinary descriptors, for kernels that keep what a table of direct
 * ones has closed. docs/decisions/kernels-below-6.13.md.
 *
 *   table: index ─► descriptor, or for a free one the next free index, complemented
 *
 * Watches, batches and accepts are those of ring_uring.c. What ends a connection is a plain system
 * call, done when it returns: nothing that is queued refers to a descriptor that is closed. A
 * client's slots are chosen by the caller, and the list of free ones is not looked at. */
#include "core/ring_packets.h"
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NO_INDEX = INT32_MAX,
    ACCEPTS_END_TURNS = 64, /* a cancellation takes one or two */
    ACCEPTS_END_NS = 1000000,
};

/* ---- slots ---- */

int ring_fds_init(struct ring_table *table, uint32_t slots)
{
    table->fds = malloc(slots * sizeof *table->fds);
    if (!table->fds)
        return -ENOMEM;
    table->free_head = 0;
    for (uint32_t i = 0; i < slots; i++)
        table->fds[i] = ~(i + 1 < slots ? (int32_t)i + 1 : NO_INDEX);
    return 0;
}

/* An accept that is under way when its kernel ring ends makes a descriptor that nobody knows. */
static void accepts_end(struct ring_uring *ring)
{
    ring_accept_listen_stop(&ring->base);
    for (int turn = 0; turn < ACCEPTS_END_TURNS; turn++) {
        bool armed = false;
        for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
            armed |= ring->listeners[i].armed > 0;
        if (!armed || ring_uring_wait(&ring->base, ACCEPTS_END_NS) < 0)
            return;
    }
}

static void fds_close(struct ring_table *table, uint32_t slots)
{
    for (uint32_t i = 0; table->fds && i < slots; i++)
        if (table->fds[i] >= 0)
            close(table->fds[i]);
}

static void fd_free(struct ring *base)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    accepts_end(ring);
    for (uint32_t i = 0; i < ring->table_count; i++)
        fds_close(&ring->tables[i], ring->table_mask + 1);
    ring_uring_free(base);
}

int32_t ring_fd_take(struct ring_table *table, int32_t fd)
{
    int32_t index = table->free_head;
    if (index == NO_INDEX) {
        close(fd);
        return -ENFILE;
    }
    table->free_head = ~table->fds[index];
    table->fds[index] = fd;
    return index;
}

/* ---- what differs from direct descriptors ---- */

static int32_t *fd_of(struct ring_uring *ring, uint32_t slot)
{
    int32_t *fd = &ring_table_of(ring, slot)->fds[slot & ring->table_mask];
    assert(*fd >= 0);
    return fd;
}

/* No kernel worker is needed for it, and so none is waited for. */
static void fd_shutdown(struct ring *base, uint32_t slot)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    base->stats.enters++;
    int err = shutdown(*fd_of(ring, slot), SHUT_WR) < 0 ? -errno : 0;
    ring_queue_push(&ring->queue, RING_WRITABLE, slot, err);
}

static void fd_close(struct ring *base, uint32_t slot)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    struct ring_table *table = ring_table_of(ring, slot);
    int32_t *fd = fd_of(ring, slot);
    base->stats.enters++;
    close(*fd);
    *fd = ~table->free_head;
    table->free_head = (int32_t)(slot & ring->table_mask);
    ring_slot_released(ring, table);
}

static void fd_abort(struct ring *base, uint32_t slot)
{
    static const struct sockaddr_in nowhere = {.sin_family = AF_UNSPEC};
    base->stats.enters++;
    int err = connect(*fd_of((struct ring_uring *)base, slot), (const struct sockaddr *)&nowhere,
                      sizeof nowhere);
    assert(err == 0);
}

const struct ring_engine ring_uring_fd_engine = {
    .name = "io_uring_fd",
    .listen = ring_accept_listen,
    .listen_stop = ring_accept_listen_stop,
    .wait = ring_uring_wait,
    .gather = ring_uring_gather,
    .next = ring_uring_next,
    .watch = ring_uring_watch,
    .unwatch = ring_uring_unwatch,
    .send = ring_uring_send,
    .receive = ring_uring_receive,
    .shutdown = fd_shutdown,
    .close = fd_close,
    .connect = ring_client_connect,
    .abort = fd_abort,
    .packets_open = ring_uring_packets_open,
    .packets_watch = ring_uring_packets_watch,
    .packets_receive = ring_packet_sockets_receive,
    .packets_send = ring_packet_sockets_send,
    .wake = ring_uring_wake,
    .free = fd_free,
};
