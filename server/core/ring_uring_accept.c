/* ring_uring_accept: multishot accept straight into direct descriptors, always on the table that has most room.
 *
 * Only one table accepts at a time, so that a new connection wakes one kernel ring. A multishot accept may take
 * the whole listen backlog at once; a table stops accepting while it still has RING_ACCEPT_HEADROOM free slots, and
 * another takes over. When no table has room the backlog waits until ring_close frees a slot. */
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>

static uint32_t table_free(const struct ring_uring *ring, uint32_t table)
{
    return ring->table_mask + 1 - ring->tables[table].used;
}

static uint32_t headroom(const struct ring_uring *ring)
{
    uint32_t eighth = (ring->table_mask + 1) / 8;
    return eighth < RING_ACCEPT_HEADROOM ? eighth : RING_ACCEPT_HEADROOM;
}

/* Keeps to the present table while it has room: sockets opened together then share a kernel ring. */
static uint32_t table_with_room(const struct ring_uring *ring)
{
    if (table_free(ring, ring->accept_table) > headroom(ring))
        return ring->accept_table;
    uint32_t best = 0;
    for (uint32_t i = 1; i < ring->table_count; i++)
        if (table_free(ring, i) > table_free(ring, best))
            best = i;
    return best;
}

static void accept_arm(struct ring_uring *ring)
{
    if (ring->listen_fd < 0 || ring->accept_armed)
        return;
    uint32_t table = table_with_room(ring);
    if (table_free(ring, table) == 0)
        return;
    ring->accept_table = table;
    ring->accept_armed = true;
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[table]);
    io_uring_prep_multishot_accept_direct(sqe, ring->listen_fd, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_ACCEPT, 0));
}

static void accept_cancel(struct ring_uring *ring)
{
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[ring->accept_table]);
    io_uring_prep_cancel64(sqe, ring_tag(RING_OP_ACCEPT, 0), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
}

int ring_accept_listen(struct ring *base, int fd)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    assert(fd >= 0 && ring->listen_fd < 0 && !ring->client);
    ring->listen_fd = fd;
    accept_arm(ring);
    return 0;
}

void ring_accept_listen_stop(struct ring *base)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    ring->listen_fd = -1;
    if (ring->accept_armed)
        accept_cancel(ring);
}

void ring_accept_complete(struct ring_uring *ring, uint32_t table_index, int32_t res, bool more)
{
    struct ring_table *table = &ring->tables[table_index];
    if (res >= 0) {
        table->used++;
        ring->base.stats.slots_used++;
        ring_queue_push(&ring->queue, RING_ACCEPTED, (table_index << ring->table_shift) + (uint32_t)res, 0);
    } else if (res != -ECANCELED) {
        ring_queue_push(&ring->queue, RING_REFUSED, 0, res);
    }

    if (!more) {
        ring->accept_armed = false;
        accept_arm(ring);
    } else if (table_with_room(ring) != ring->accept_table && ring->listen_fd >= 0) {
        accept_cancel(ring);
    }
}

void ring_accept_released(struct ring_uring *ring)
{
    accept_arm(ring);
}
