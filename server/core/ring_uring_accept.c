/* ring_uring_accept: accepts straight into direct descriptors, on the table that has most room.
 *
 * New accepts are armed on one table at a time, so that a new connection wakes one kernel ring.
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

/* Two listeners may fill the same table: what one keeps free for its backlog is not the other's. */
static uint32_t headroom(const struct ring_uring *ring)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        if (ring->listeners[i].fd >= 0)
            sum += ring->listeners[i].headroom;
    return sum;
}

/* Keeps to the present table while it has room: sockets opened together then share a ring. */
static uint32_t table_with_room(struct ring_uring *ring)
{
    if (table_free(ring, ring->accept_table) > headroom(ring))
        return ring->accept_table;
    uint32_t best = 0;
    for (uint32_t i = 1; i < ring->table_count; i++)
        if (table_free(ring, i) > table_free(ring, best))
            best = i;
    if (table_free(ring, best) <= headroom(ring) && table_added(ring))
        best = ring->table_count - 1;
    return best;
}

/* How many one-shot accepts there are slots for: half of what the others have not armed for, so
 * that a port which takes few connections is not kept out by one which takes many. */
static uint32_t shots(const struct ring_uring *ring, const struct ring_listener *listener,
                      uint32_t table)
{
    uint32_t free_slots = table_free(ring, table), promised = 0;
    bool shares = false;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        const struct ring_listener *other = &ring->listeners[i];
        if (other == listener)
            continue;
        shares |= other->fd >= 0;
        if (other->armed > 0 && other->table == table)
            promised += other->multishot ? other->headroom : other->armed;
    }
    uint32_t count = free_slots > promised ? free_slots - promised : 0;
    if (shares && promised == 0)
        count = (count + 1) / 2;
    return count < RING_ACCEPTS_MAX ? count : RING_ACCEPTS_MAX;
}

static void accept_arm(struct ring_uring *ring, unsigned index)
{
    struct ring_listener *listener = &ring->listeners[index];
    if (listener->fd < 0 || listener->armed > 0)
        return;
    uint32_t table = ring->accept_table = table_with_room(ring);
    listener->table = table;
    listener->multishot = table_free(ring, table) > headroom(ring);
    listener->cancelled = false;
    listener->armed = listener->multishot ? 1 : shots(ring, listener, table);
    for (uint32_t i = 0; i < listener->armed; i++) {
        struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[table]);
        if (listener->multishot)
            io_uring_prep_multishot_accept_direct(sqe, listener->fd, NULL, NULL, 0);
        else
            /* liburing 2.3 adds one to the index here, also to the one that means "any". */
            io_uring_prep_accept_direct(sqe, listener->fd, NULL, NULL, 0,
                                        IORING_FILE_INDEX_ALLOC - 1);
        io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_ACCEPT, index));
    }
}

static void accept_cancel(struct ring_uring *ring, unsigned index)
{
    struct ring_listener *listener = &ring->listeners[index];
    if (listener->armed == 0 || listener->cancelled)
        return;
    listener->cancelled = true;
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[listener->table]);
    io_uring_prep_cancel64(sqe, ring_tag(RING_OP_ACCEPT, index), IORING_ASYNC_CANCEL_ALL);
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

int ring_accept_listen(struct ring *base, unsigned listener, int fd)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    assert(fd >= 0 && listener < RING_LISTENERS_MAX && !ring->client);
    assert(ring->listeners[listener].fd < 0);
    ring->listeners[listener].fd = fd;
    ring->listeners[listener].headroom = 2 * backlog_size(fd);
    accept_arm(ring, listener);
    return 0;
}

void ring_accept_listen_stop(struct ring *base)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        ring->listeners[i].fd = -1;
        accept_cancel(ring, i);
    }
}

void ring_accept_complete(struct ring_uring *ring, unsigned index, uint32_t table_index,
                          int32_t res, bool more)
{
    struct ring_table *table = &ring->tables[table_index];
    struct ring_listener *listener = &ring->listeners[index];
    if (res >= 0) {
        table->used++;
        ring->base.stats.slots_used++;
        ring_queue_push(&ring->queue, RING_ACCEPTED,
                        (table_index << ring->table_shift) + (uint32_t)res, (int32_t)index);
    } else if (res != -ECANCELED && listener->fd >= 0) {
        ring_queue_push(&ring->queue, RING_REFUSED, 0, res);
    }

    assert(listener->armed > 0 && table_index == listener->table);
    if (!more && --listener->armed == 0)
        ring_accept_released(ring);
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        if (ring->listeners[i].multishot && ring->listeners[i].table == table_index &&
            table_free(ring, table_index) <= headroom(ring))
            accept_cancel(ring, i);
}

void ring_accept_released(struct ring_uring *ring)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        accept_arm(ring, i);
}
