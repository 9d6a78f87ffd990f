/* ring_uring_accept: accepts straight into slots, on the table that has most room.
 *
 * New accepts are armed on one table at a time, so that a new connection wakes one kernel ring.
 *
 *   free > headroom    one multishot accept
 *   0 < free           one-shot accepts, at most as many as slots are free: none can be without one
 *   0 on every table   nothing: the backlog waits until ring_close frees a slot
 *
 * With ring_config.peers all are one-shot: an accept writes the address of its peer to a place of
 * its own, and a multishot one has a single place for all. They wake one at a time, and arming them
 * again is submitted with all else: no system call is added.
 *
 * A connection that finds no free slot is lost, and a multishot accept takes all that it finds in
 * the backlog, and what is added meanwhile: it stops while the table still has twice the backlog
 * free. */
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/ring_peers.h"

enum {
    SHOT_SHIFT = 8, /* a listener's number, and above it that of the shot */
};

int ring_accept_init(struct ring_uring *ring)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        ring->listeners[i].peers = calloc(RING_ACCEPTS_MAX, sizeof(struct ring_shot));
        if (!ring->listeners[i].peers)
            return -ENOMEM;
    }
    return ring_peers_init(&ring->base);
}

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

/* What a table should have free, or else another one is looked for. One that is smaller than the
 * backlogs never has room for them: it takes one by one, as many as are armed at once, and is
 * filled before there is need of another. */
static uint32_t room_wanted(const struct ring_uring *ring)
{
    uint32_t backlogs = headroom(ring);
    return backlogs <= ring->table_mask ? backlogs : RING_ACCEPTS_MAX;
}

/* Keeps to the present table while it has room: sockets opened together then share a ring. */
static uint32_t table_with_room(struct ring_uring *ring)
{
    uint32_t wanted = room_wanted(ring);
    if (table_free(ring, ring->accept_table) > wanted)
        return ring->accept_table;
    uint32_t best = 0;
    for (uint32_t i = 1; i < ring->table_count; i++)
        if (table_free(ring, i) > table_free(ring, best))
            best = i;
    if (table_free(ring, best) <= wanted && table_added(ring))
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

static void shot_arm(struct ring_uring *ring, unsigned index, uint32_t shot)
{
    struct ring_listener *listener = &ring->listeners[index];
    struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[listener->table]);
    struct sockaddr *peer = NULL;
    socklen_t *size = NULL;
    if (listener->peers) {
        peer = (struct sockaddr *)&listener->peers[shot].peer;
        size = &listener->peers[shot].size;
        *size = sizeof listener->peers[shot].peer;
    }
    if (!ring->direct && listener->multishot)
        io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
    else if (!ring->direct)
        io_uring_prep_accept(sqe, listener->fd, peer, size, SOCK_CLOEXEC);
    else if (listener->multishot)
        io_uring_prep_multishot_accept_direct(sqe, listener->fd, NULL, NULL, 0);
    else
        /* liburing 2.3 adds one to the index here, also to the one that means "any". */
        io_uring_prep_accept_direct(sqe, listener->fd, peer, size, 0, IORING_FILE_INDEX_ALLOC - 1);
    io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_ACCEPT, index | shot << SHOT_SHIFT));
}

static void accept_arm(struct ring_uring *ring, unsigned index)
{
    struct ring_listener *listener = &ring->listeners[index];
    if (listener->fd < 0 || listener->armed > 0)
        return;
    uint32_t table = ring->accept_table = table_with_room(ring);
    listener->table = table;
    listener->multishot = !listener->peers && table_free(ring, table) > headroom(ring);
    listener->cancelled = false;
    listener->shots = listener->multishot ? 1 : shots(ring, listener, table);
    listener->armed = listener->shots;
    for (uint32_t shot = 0; shot < listener->shots; shot++)
        shot_arm(ring, index, shot);
}

static void accept_cancel(struct ring_uring *ring, unsigned index)
{
    struct ring_listener *listener = &ring->listeners[index];
    if (listener->armed == 0 || listener->cancelled)
        return;
    listener->cancelled = true;
    for (uint32_t shot = 0; shot < listener->shots; shot++) {
        struct io_uring_sqe *sqe = ring_sqe(ring, &ring->tables[listener->table]);
        io_uring_prep_cancel64(sqe, ring_tag(RING_OP_ACCEPT, index | shot << SHOT_SHIFT), 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, ring_tag(RING_OP_IGNORE, 0));
    }
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

void ring_accept_complete(struct ring_uring *ring, uint32_t index, uint32_t table_index,
                          int32_t res, bool more)
{
    struct ring_table *table = &ring->tables[table_index];
    uint32_t shot = index >> SHOT_SHIFT, number = index & ((1U << SHOT_SHIFT) - 1);
    struct ring_listener *listener = &ring->listeners[number];
    if (res >= 0 && !ring->direct)
        res = ring_fd_take(table, res);
    if (res >= 0) {
        uint32_t slot = (table_index << ring->table_shift) + (uint32_t)res;
        table->used++;
        ring->base.stats.slots_used++;
        if (listener->peers)
            ring_peers_set(&ring->base, slot, &listener->peers[shot].peer);
        ring_queue_push(&ring->queue, RING_ACCEPTED, slot, (int32_t)number);
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
