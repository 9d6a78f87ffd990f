/* ring_uring: the io_uring engine. Watches are one-shot polls; batches are non-blocking sends and
 * receives that have completed when the submitting system call returns. */
#include "core/ring_packets.h"
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURN_FRUITLESS_MAX = 32,
    SEND_SILENT_BYTES = 1 << 30, /* the kernel's own most is 2 GiB less a page */
};

static struct ring_uring *uring_of(struct ring *base)
{
    return (struct ring_uring *)base;
}

void ring_submit(struct ring_uring *ring, struct ring_table *table)
{
    while (io_uring_sq_ready(&table->uring) > 0) {
        int n = io_uring_submit(&table->uring);
        ring->base.stats.enters++;
        /* EAGAIN and EBUSY ask for completions to be taken first; nothing else can go wrong with
         * our own memory. */
        if (n < 0) {
            assert(n == -EAGAIN || n == -EBUSY || n == -EINTR);
            io_uring_get_events(&table->uring);
            ring->base.stats.enters++;
            ring_reap(ring, table);
        }
    }
}

struct io_uring_sqe *ring_sqe(struct ring_uring *ring, struct ring_table *table)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&table->uring);
    if (!sqe) {
        ring_submit(ring, table);
        sqe = io_uring_get_sqe(&table->uring);
        assert(sqe);
    }
    return sqe;
}

/* Emptied when its poll completes, and not when it is armed again: what rings in between must end
 * the next wait. */
static void silence_bell(struct ring_uring *ring)
{
    uint64_t rings;
    ring->base.stats.enters++;
    if (read(ring->bell, &rings, sizeof rings) < 0)
        assert(errno == EAGAIN);
    ring->bell_armed = false;
}

static void complete(struct ring_uring *ring, struct ring_table *table,
                     const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    uint32_t first = (uint32_t)(table - ring->tables) << ring->table_shift;

    switch ((enum ring_op)(cqe->user_data >> 56)) {
    case RING_OP_BATCH:
        ring->batch[index].res = cqe->res;
        break;
    case RING_OP_WATCH_READ:
        ring_queue_push(&ring->queue, RING_READABLE, first + index, cqe->res);
        break;
    case RING_OP_WATCH_WRITE:
    case RING_OP_SHUTDOWN:
        ring_queue_push(&ring->queue, RING_WRITABLE, first + index, cqe->res);
        break;
    case RING_OP_ACCEPT:
        ring_accept_complete(ring, index, (uint32_t)(table - ring->tables), cqe->res,
                             cqe->flags & IORING_CQE_F_MORE);
        break;
    case RING_OP_CONNECT:
        if (cqe->res < 0)
            ring->base.engine->close(&ring->base, first + index);
        ring_queue_push(&ring->queue, RING_CONNECTED, first + index, cqe->res);
        break;
    case RING_OP_BELL:
        silence_bell(ring);
        break;
    case RING_OP_PACKETS:
        ring_packet_socket_at(&ring->base, index)->watched = false;
        ring_queue_push(&ring->queue, RING_PACKETS, index, cqe->res);
        break;
    case RING_OP_IGNORE:
        break;
    }
}

static bool take_completion(struct ring_table *table, struct io_uring_cqe *ret)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    io_uring_for_each_cqe(&table->uring, head, cqe)
    {
        *ret = *cqe;
        io_uring_cq_advance(&table->uring, 1);
        return true;
    }
    return false;
}

/* Taken one by one, since what follows from a completion may submit, and so come here again. */
void ring_reap(struct ring_uring *ring, struct ring_table *table)
{
    struct io_uring_cqe cqe;
    for (;;) {
        while (take_completion(table, &cqe))
            complete(ring, table, &cqe);
        if (!io_uring_cq_has_overflow(&table->uring))
            return;
        ring->base.stats.overflows++;
        ring->base.stats.enters++;
        io_uring_get_events(&table->uring);
    }
}

static bool has_task_work(struct ring_table *table)
{
    return IO_URING_READ_ONCE(*table->uring.sq.kflags) &
           (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Runs a table's deferred work without waiting. One call runs two dozen pieces of it at the most
 * and leaves the rest without ringing the bell again; not every piece completes something. So it is
 * called until the flag is gone. The flag can also be left over: it is set behind the work, which
 * may have been run by then. After TURN_FRUITLESS_MAX calls without a completion it counts as such
 * until the bell rings. */
static void table_turn(struct ring_uring *ring, struct ring_table *table)
{
    if (io_uring_sq_ready(&table->uring) > 0)
        ring_submit(ring, table);
    unsigned fruitless = 0;
    while (!table->flag_stale && has_task_work(table)) {
        io_uring_get_events(&table->uring);
        ring->base.stats.enters++;
        fruitless = io_uring_cq_ready(&table->uring) > 0 ? 0 : fruitless + 1;
        table->flag_stale = fruitless == TURN_FRUITLESS_MAX;
        ring_reap(ring, table);
    }
    ring_reap(ring, table);
}

static void other_tables_turn(struct ring_uring *ring, bool rung)
{
    for (uint32_t i = 1; i < ring->table_count; i++) {
        ring->tables[i].flag_stale &= !rung;
        table_turn(ring, &ring->tables[i]);
    }
}

/* Silences the bell and waits for it again. */
void ring_bell_arm(struct ring_uring *ring)
{
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[0]);
    io_uring_prep_poll_add(sqe, ring->bell, POLLIN);
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_BELL, 0));
    ring->bell_armed = true;
}

/* A bell that has rung since the last wait was meant for this one, which then does not wait. A bell
 * that ends this one is silenced before it returns: whatever rings afterwards ends the next. The
 * other tables have their turn before the bell is silenced, as their completions ring it too, and
 * after, as work may have come in between. */
static int wait_on_first(struct ring_uring *ring, int64_t gather_ns, int64_t timeout_ns)
{
    struct io_uring *uring = &ring->tables[0].uring;
    struct __kernel_timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    struct io_uring_cqe *cqe;
    ring->base.stats.enters++;
#ifdef RING_HAS_MIN_WAIT
    if (gather_ns > 0)
        return io_uring_submit_and_wait_min_timeout(uring, &cqe, RING_GATHERED, &timeout,
                                                    (unsigned)(gather_ns / 1000), NULL);
#endif
    assert(gather_ns == 0);
    return io_uring_submit_and_wait_timeout(uring, &cqe, 1, &timeout, NULL);
}

static int uring_wait(struct ring *base, int64_t gather_ns, int64_t timeout_ns)
{
    struct ring_uring *ring = uring_of(base);
    bool rung = !ring->bell_armed;

    if (rung)
        ring_bell_arm(ring);
    other_tables_turn(ring, rung);
    if (rung || timeout_ns <= 0 || ring_queue_count(&ring->queue) > 0) {
        table_turn(ring, &ring->tables[0]);
        return 0;
    }

    int err = wait_on_first(ring, gather_ns, timeout_ns);
    if (err < 0 && err != -ETIME && err != -EINTR && err != -EAGAIN && err != -EBUSY)
        return err;
    ring->tables[0].flag_stale = false;
    table_turn(ring, &ring->tables[0]);
    if (!ring->bell_armed) {
        other_tables_turn(ring, true);
        ring_bell_arm(ring);
        other_tables_turn(ring, true);
    }
    return 0;
}

int ring_uring_wait(struct ring *base, int64_t timeout_ns)
{
    return uring_wait(base, 0, timeout_ns);
}

/* In the wait itself, where the kernel can: a system call less, and it ends when many are there. */
int ring_uring_gather(struct ring *base, int64_t gather_ns, int64_t timeout_ns)
{
    if (!uring_of(base)->min_wait)
        return ring_pause(base, gather_ns, timeout_ns);
    return uring_wait(base, gather_ns, timeout_ns);
}

bool ring_uring_next(struct ring *base, struct ring_event *event)
{
    return ring_queue_pop(&uring_of(base)->queue, event);
}

void ring_uring_watch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct ring_uring *ring = uring_of(base);
    struct io_uring_sqe *sqe = ring_sqe(ring, ring_table_of(ring, slot));
    uint32_t index = slot & ring->table_mask;
    bool read = direction == RING_READ;

    io_uring_prep_poll_add(sqe, 0, read ? POLLIN | POLLRDHUP : POLLOUT);
    ring_target(ring_table_of(ring, slot), sqe, index);
    io_uring_sqe_set_data64(sqe, ring_tag(read ? RING_OP_WATCH_READ : RING_OP_WATCH_WRITE, index));
}

void ring_uring_unwatch(struct ring *base, uint32_t slot, enum ring_direction direction)
{
    struct ring_uring *ring = uring_of(base);
    struct io_uring_sqe *sqe = ring_sqe(ring, ring_table_of(ring, slot));
    enum ring_op op = direction == RING_READ ? RING_OP_WATCH_READ : RING_OP_WATCH_WRITE;

    io_uring_prep_poll_remove(sqe, ring_tag(op, slot & ring->table_mask));
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
}

/* Submits the batch table by table. Order within one socket is kept, since a socket has one table.
 */
static void batch_run(struct ring_uring *ring, struct ring_io *io, unsigned count,
                      void (*prepare)(struct io_uring_sqe *, struct ring_io *))
{
    assert(count <= RING_BATCH_MAX && !ring->batch);
    ring->batch = io;
    uint32_t low = UINT32_MAX, high = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t table = io[i].slot >> ring->table_shift;
        struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[table]);
        prepare(sqe, &io[i]);
        ring_target(&ring->tables[table], sqe, io[i].slot & ring->table_mask);
        io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_BATCH, i));
        low = table < low ? table : low;
        high = table > high ? table : high;
    }
    for (uint32_t table = low; table <= high && count > 0; table++) {
        ring_submit(ring, &ring->tables[table]);
        ring_reap(ring, &ring->tables[table]);
    }
    ring->batch = NULL;
}

static size_t io_bytes(const struct ring_io *io)
{
    size_t bytes = 0;
    if (!io->msg)
        return io->iov.iov_len;
    for (size_t i = 0; i < io->msg->msg_iovlen; i++)
        bytes += io->msg->msg_iov[i].iov_len;
    return bytes;
}

/* MSG_WAITALL makes a short send a failed one, so that success needs no completion and a short
 * count gets one; MSG_DONTWAIT keeps the kernel from arming a poll for the rest. Of gigabytes the
 * kernel takes a part at most, and calls that success: there the completion says how much. */
static void prepare_send(struct io_uring_sqe *sqe, struct ring_io *io)
{
    const int flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    size_t bytes = io_bytes(io);
    if (io->msg)
        io_uring_prep_sendmsg(sqe, 0, io->msg, flags);
    else
        io_uring_prep_send(sqe, 0, io->iov.iov_base, bytes < INT32_MAX ? bytes : INT32_MAX, flags);
    io->res = bytes <= SEND_SILENT_BYTES ? (int32_t)bytes : -EAGAIN;
    if (bytes <= SEND_SILENT_BYTES)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void prepare_receive(struct io_uring_sqe *sqe, struct ring_io *io)
{
    io_uring_prep_recv(sqe, 0, io->iov.iov_base, io->iov.iov_len, MSG_DONTWAIT);
    io->res = -EAGAIN;
}

void ring_uring_send(struct ring *base, struct ring_io *io, unsigned count)
{
    base->stats.sends += count;
    batch_run(uring_of(base), io, count, prepare_send);
}

void ring_uring_receive(struct ring *base, struct ring_io *io, unsigned count)
{
    base->stats.receives += count;
    batch_run(uring_of(base), io, count, prepare_receive);
}

int ring_uring_packets_open(struct ring *base, unsigned number, int fd)
{
    return ring_packet_socket_open(base, number, fd);
}

/* On table 0, which is the one that is waited for. */
void ring_uring_packets_watch(struct ring *base, unsigned number)
{
    struct ring_uring *ring = uring_of(base);
    struct ring_packet_socket *at = ring_packet_socket_at(base, number);
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[0]);
    assert(!at->watched && "one watch");
    at->watched = true;
    io_uring_prep_poll_add(sqe, at->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_PACKETS, number));
}

static void uring_shutdown(struct ring *base, uint32_t slot)
{
    struct ring_uring *ring = uring_of(base);
    uint32_t index = slot & ring->table_mask;
    struct io_uring_sqe *sqe = ring_sqe(ring, ring_table_of(ring, slot));

    io_uring_prep_shutdown(sqe, (int)index, SHUT_WR);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_SHUTDOWN, index));
}

static void uring_close(struct ring *base, uint32_t slot)
{
    struct ring_uring *ring = uring_of(base);
    struct ring_table *table = ring_table_of(ring, slot);
    struct io_uring_sqe *sqe = ring_sqe(ring, table);

    io_uring_prep_close_direct(sqe, slot & ring->table_mask);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
    table->close_queued = true;
    ring_slot_released(ring, table);
}

void ring_slot_released(struct ring_uring *ring, struct ring_table *table)
{
    assert(table->used > 0);
    table->used--;
    ring->base.stats.slots_used--;
    if (!ring->client)
        ring_accept_released(ring);
}

void ring_uring_wake(struct ring *base)
{
    uint64_t one = 1;
    if (write(uring_of(base)->bell, &one, sizeof one) < 0)
        assert(errno == EAGAIN);
}

const struct ring_engine ring_uring_engine = {
    .name = "io_uring",
    .listen = ring_accept_listen,
    .listen_stop = ring_accept_listen_stop,
    .wait = ring_uring_wait,
    .gather = ring_uring_gather,
    .next = ring_uring_next,
    .watch = ring_uring_watch,
    .unwatch = ring_uring_unwatch,
    .send = ring_uring_send,
    .receive = ring_uring_receive,
    .shutdown = uring_shutdown,
    .close = uring_close,
    .connect = ring_client_connect,
    .abort = ring_client_abort,
    .packets_open = ring_uring_packets_open,
    .packets_watch = ring_uring_packets_watch,
    .packets_receive = ring_packet_sockets_receive,
    .packets_send = ring_packet_sockets_send,
    .wake = ring_uring_wake,
    .free = ring_uring_free,
};
