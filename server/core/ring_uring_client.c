/* ring_uring_client: connections opened from an exact source address and port, for the load
 * generator.
 *
 * Letting the kernel choose source ports slows down tenfold once half the range is used, so the
 * caller names (address, port) pairs. Linux 6.11 binds a direct descriptor in the ring. Before, and
 * where sockets are ordinary descriptors, the socket is made and bound with the ordinary calls; a
 * direct one is then installed in the table, and its descriptor closed at once. */
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* An entry of the submission queue has at most one address, so a circle as long as the queue never
 * meets itself. */
static const struct sockaddr_in *address_keep(struct ring_table *table,
                                              const struct sockaddr_in *address)
{
    struct sockaddr_in *kept = &table->addresses[table->address_next++ % RING_SQ_ENTRIES];
    *kept = *address;
    return kept;
}

static void connect_step(struct ring_uring *ring, uint32_t slot, const struct sockaddr_in *to)
{
    uint32_t index = slot & ring->table_mask;
    struct ring_table *table = ring_table_of(ring, slot);
    struct io_uring_sqe *sqe = ring_sqe(ring, table);
    io_uring_prep_connect(sqe, 0, (const struct sockaddr *)address_keep(table, to), sizeof *to);
    ring_target(table, sqe, index);
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_CONNECT, index));
}

/* socket ─► bind ─► connect, linked. A step that fails reports as the connect would have; those
 * behind it are then dropped without a completion, as the failed step asked for none on success. */
static void connect_linked(struct ring_uring *ring, uint32_t slot, const struct sockaddr_in *from,
                           const struct sockaddr_in *to)
{
    uint32_t index = slot & ring->table_mask;
    struct ring_table *table = ring_table_of(ring, slot);
    if (io_uring_sq_space_left(&table->uring) < 3)
        ring_submit(ring, table);

    struct io_uring_sqe *sqe = ring_sqe(ring, table);
    io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, index, 0);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_CONNECT, index));

    sqe = ring_sqe(ring, table);
    io_uring_prep_rw(RING_COMPAT_OP_BIND, sqe, (int)index, address_keep(table, from), 0,
                     sizeof *from);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_CONNECT, index));

    connect_step(ring, slot, to);
}

/* Puts the descriptor into the kernel's table; then it is not needed any more. */
static int install(struct ring_uring *ring, struct ring_table *table, uint32_t index, int fd)
{
    if (table->close_queued) {
        /* The slot's own close may be among them: it has to come before the table is changed. */
        ring_submit(ring, table);
        table->close_queued = false;
    }
    int err = io_uring_register_files_update(&table->uring, index, &fd, 1);
    close(fd);
    return err < 0 ? err : 0;
}

static int connect_made(struct ring_uring *ring, uint32_t slot, const struct sockaddr_in *from,
                        const struct sockaddr_in *to)
{
    struct ring_table *table = ring_table_of(ring, slot);
    uint32_t index = slot & ring->table_mask;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0, on = 1;
    if (fd < 0)
        return -errno;
    /* Else a connection in TIME_WAIT would keep its address from every other peer. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)from, sizeof *from) < 0) {
        err = -errno;
        close(fd);
    } else if (table->fds) {
        assert(table->fds[index] < 0);
        table->fds[index] = fd;
    } else {
        err = install(ring, table, index, fd);
    }
    if (err == 0)
        connect_step(ring, slot, to);
    return err;
}

/* Opens tables until one holds the slot. */
static int tables_reach(struct ring_uring *ring, uint32_t slot)
{
    int err = 0;
    while (err == 0 && slot >> ring->table_shift >= ring->table_count)
        err = ring_table_open(ring);
    return err;
}

void ring_client_connect(struct ring *base, uint32_t slot, const struct sockaddr_in *from,
                         const struct sockaddr_in *to)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    assert(ring->client && slot < base->capacity);
    int err = tables_reach(ring, slot);
    if (err < 0) {
        ring_queue_push(&ring->queue, RING_CONNECTED, slot, err);
        return;
    }
    ring_table_of(ring, slot)->used++;
    base->stats.slots_used++;
    if (ring->direct && ring->bind_direct) {
        connect_linked(ring, slot, from, to);
        return;
    }
    err = connect_made(ring, slot, from, to);
    if (err < 0) {
        ring_slot_released(ring, ring_table_of(ring, slot));
        ring_queue_push(&ring->queue, RING_CONNECTED, slot, err);
    }
}

/* Connecting to AF_UNSPEC dissolves the association: TCP sends RST and keeps no TIME_WAIT. */
void ring_client_abort(struct ring *base, uint32_t slot)
{
    static const struct sockaddr_in nowhere = {.sin_family = AF_UNSPEC};
    struct ring_uring *ring = (struct ring_uring *)base;
    struct io_uring_sqe *sqe = ring_sqe(ring, ring_table_of(ring, slot));
    io_uring_prep_connect(sqe, 0, (const struct sockaddr *)&nowhere, sizeof nowhere);
    ring_target(ring_table_of(ring, slot), sqe, slot & ring->table_mask);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
}
