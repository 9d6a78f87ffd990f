/* ring_uring_accept: accepts straight into direct descriptors, on the table that has most room.
 *
 * Only one table accepts at a time, so that a new connection wakes one kernel ring.
 *
 *   free > headroom    one multishot accept
 *   0 < free           one-shot accepts, at most as many as slots are free: none can be without one
 *   0 on every table   nothing: the backlog waits until ring_close frees a slot
 *
 * A connection that finds no free slot is lost, and a multishot accept takes all that it finds in
 * the backlog, and what is added meanwhile: it stops while the table still has twice the backlog
 * free. */
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static uint32_t table_free(const struct ring_uring *ring, uint32_t table)
{
    return ring->table_mask + 1 - ring->tables[table].used;
}

/* One more table, or the end of trying: what the kernel refuses now is not asked for again. */
static bool table_added(struct ring_uring *ring)
{
    if (ring->table_count == ring->tables_max)
        return false;
    int err = ring_table_open(ring);
    if (err == 0)
        return true;
    ring->tables_max = ring->table_count;
    ring_queue_push(&ring->queue, RING_REFUSED, 0, err);
    return false;
}

/* Keeps to the present table while it has room: sockets opened together then share a ring. */
static uint32_t table_with_room(struct ring_uring *ring)
{
    if (table_free(ring, ring->accept_table) > ring->accept_headroom)
        return ring->accept_table;
    uint32_t best = 0;
    for (uint32_t i = 1; i < ring->table_count; i++)
        if (table_free(ring, i) > table_free(ring, best))
            best = i;
    if (table_free(ring, best) <= ring->accept_headroom && table_added(ring))
        best = ring->table_count - 1;
    return best;
}

static void accept_arm(struct ring_uring *ring)
{
    if (ring->listen_fd < 0 || ring->accepts_armed > 0)
        return;
    uint32_t table = table_with_room(ring);
    uint32_t free_slots = table_free(ring, table);
    uint32_t count = free_slots < RING_ACCEPTS_MAX ? free_slots : RING_ACCEPTS_MAX;
    bool multishot = free_slots > ring->accept_headroom;

    ring->accept_table = table;
    ring->accept_multishot = multishot;
    ring->accept_cancelled = false;
    ring->accepts_armed = multishot ? 1 : count;
    for (uint32_t i = 0; i < ring->accepts_armed; i++) {
        struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[table]);
        if (multishot)
            io_uring_prep_multishot_accept_direct(sqe, ring->listen_fd, NULL, NULL, 0);
        else
            /* liburing 2.3 adds one to the index here, also to the one that means "any". */
            io_uring_prep_accept_direct(sqe, ring->listen_fd, NULL, NULL, 0,
                                        IORING_FILE_INDEX_ALLOC - 1);
        io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_ACCEPT, 0));
    }
}

static void accept_cancel(struct ring_uring *ring)
{
    if (ring->accepts_armed == 0 || ring->accept_cancelled)
        return;
    ring->accept_cancelled = true;
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[ring->accept_table]);
    io_uring_prep_cancel64(sqe, ring_tag(RING_OP_ACCEPT, 0), IORING_ASYNC_CANCEL_ALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
}

/* A listening socket tells the size of its backlog in the place of another figure. */
static uint32_t backlog_size(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_sacked : UINT16_MAX;
}

int ring_accept_listen(struct ring *base, int fd)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    assert(fd >= 0 && ring->listen_fd < 0 && !ring->client);
    ring->listen_fd = fd;
    ring->accept_headroom = 2 * backlog_size(fd);
    accept_arm(ring);
    return 0;
}

void ring_accept_listen_stop(struct ring *base)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    ring->listen_fd = -1;
    accept_cancel(ring);
}

void ring_accept_complete(struct ring_uring *ring, uint32_t table_index, int32_t res, bool more)
{
    struct ring_table *table = &ring->tables[table_index];
    if (res >= 0) {
        table->used++;
        ring->base.stats.slots_used++;
        ring_queue_push(&ring->queue, RING_ACCEPTED,
                        (table_index << ring->table_shift) + (uint32_t)res, 0);
    } else if (res != -ECANCELED && ring->listen_fd >= 0) {
        ring_queue_push(&ring->queue, RING_REFUSED, 0, res);
    }

    assert(ring->accepts_armed > 0 && table_index == ring->accept_table);
    if (!more && --ring->accepts_armed == 0)
        accept_arm(ring);
    else if (ring->accept_multishot && table_free(ring, table_index) <= ring->accept_headroom)
        accept_cancel(ring);
}

void ring_accept_released(struct ring_uring *ring)
{
    accept_arm(ring);
}
