/* ring_uring: what the files of the io_uring engine share. Nobody else includes this.
 *
 *   slot = table * table_slots + index
 *
 *   table 0 ─ kernel ring: waits for all ◄─┐   A kernel ring's table of direct descriptors has at
 *   table 1 ─ kernel ring ──► eventfd ─────┤   most RLIMIT_NOFILE slots, but tables are not summed:
 *   table n ─ kernel ring ──► eventfd ─────┘   where the limit is low, a ring has several, all
 *                                              of its thread, opened one by one as they fill. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "core/ring_compat.h"
#include "core/ring_queue.h"

#define RING_SETUP_FLAGS                                                                           \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |         \
     IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)

enum {
    RING_SQ_ENTRIES = 512,
    RING_CQ_ENTRIES = 4096,
    RING_GATHERED = 64,    /* events that end a gathering before its time */
    RING_ACCEPTS_MAX = 64, /* one-shot accepts armed at once, where a table is nearly full */
};

/* The operation behind a completion, in the top byte of user_data; the slot or batch index is in
 * the low half. */
enum ring_op {
    RING_OP_IGNORE, /* cancels, closes: only failures complete, and they change nothing */
    RING_OP_ACCEPT,
    RING_OP_WATCH_READ,
    RING_OP_WATCH_WRITE,
    RING_OP_SHUTDOWN,
    RING_OP_BATCH,
    RING_OP_CONNECT,
    RING_OP_BELL,
    RING_OP_PACKETS,
};

struct ring_table {
    struct io_uring uring;
    uint32_t used;     /* slots taken */
    bool close_queued; /* a close may wait to be submitted */

    int32_t *fds;      /* by index, see ring_uring_fd.c; NULL: the kernel's table is what counts */
    int32_t free_head; /* of fds */

    struct sockaddr_in *addresses; /* client: one per submission entry, until it is submitted */
    uint32_t address_next;
    bool flag_stale; /* the kernel's flag says work, and there is none: see table_turn */
};

/* What an accept writes the address of its peer to. */
struct ring_shot {
    struct sockaddr_in6 peer;
    socklen_t size;
};

struct ring_listener {
    int fd;            /* -1: not accepting */
    uint32_t headroom; /* slots that a multishot accept must find free: twice the backlog */
    uint32_t table;    /* of those armed */
    uint32_t armed;
    uint32_t shots; /* one-shot accepts armed together, of which `armed` are left */
    bool multishot;
    bool cancelled;
    struct ring_shot *peers; /* RING_ACCEPTS_MAX, one for each shot; NULL: nobody asks */
};

struct ring_uring {
    struct ring base;
    struct ring_table *tables;
    uint32_t table_count; /* open now */
    uint32_t tables_max;
    uint32_t table_shift; /* log2 of table_slots */
    uint32_t table_mask;
    bool client;
    bool direct; /* sockets are direct descriptors, else ordinary ones */
    bool bind_direct;
    bool min_wait; /* the kernel lets events gather in the wait itself */

    int bell; /* eventfd: ring_wake, and completions on tables 1 … n */
    bool bell_armed;

    struct ring_listener listeners[RING_LISTENERS_MAX];
    uint32_t accept_table; /* where new accepts are armed */

    struct ring_io *batch; /* the batch that ring_send or ring_receive is working on */
    struct ring_queue queue;
};

static inline uint64_t ring_tag(enum ring_op op, uint32_t index)
{
    return (uint64_t)op << 56 | index;
}

static inline struct ring_table *ring_table_of(struct ring_uring *ring, uint32_t slot)
{
    return &ring->tables[slot >> ring->table_shift];
}

/* Says which socket an entry is for. After the entry's preparation, which clears its flags. */
static inline void ring_target(const struct ring_table *table, struct io_uring_sqe *sqe,
                               uint32_t index)
{
    if (table->fds) {
        assert(table->fds[index] >= 0);
        sqe->fd = table->fds[index];
    } else {
        sqe->fd = (int)index;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

extern const struct ring_engine ring_uring_engine, ring_uring_fd_engine;
void ring_uring_free(struct ring *base);

/* Opens one more table. Returns 0 or negative errno. */
int ring_table_open(struct ring_uring *ring);

void ring_bell_arm(struct ring_uring *ring);

/* A free submission entry; submits the full queue first when there is none. Never NULL. */
struct io_uring_sqe *ring_sqe(struct ring_uring *ring, struct ring_table *table);

/* Submits what one table has queued. */
void ring_submit(struct ring_uring *ring, struct ring_table *table);

/* Moves all completions of a table to the event queue, and batch results to the batch. */
void ring_reap(struct ring_uring *ring, struct ring_table *table);

/* A slot of this table has been closed: counts, and accepts again where none was free. */
void ring_slot_released(struct ring_uring *ring, struct ring_table *table);

/* What the two kinds of descriptors have in common. */
int ring_uring_wait(struct ring *base, int64_t timeout_ns);
int ring_uring_gather(struct ring *base, int64_t gather_ns, int64_t timeout_ns);
bool ring_uring_next(struct ring *base, struct ring_event *event);
void ring_uring_watch(struct ring *base, uint32_t slot, enum ring_direction direction);
void ring_uring_unwatch(struct ring *base, uint32_t slot, enum ring_direction direction);
void ring_uring_send(struct ring *base, struct ring_io *io, unsigned count);
void ring_uring_receive(struct ring *base, struct ring_io *io, unsigned count);
int ring_uring_packets_open(struct ring *base, unsigned number, int fd);
void ring_uring_packets_watch(struct ring *base, unsigned number);
void ring_uring_wake(struct ring *base);

/* ring_uring_fd.c: a table's ordinary descriptors. All free at first; returns 0 or -ENOMEM. */
int ring_fds_init(struct ring_table *table, uint32_t slots);

/* Gives an accepted descriptor the index of a free slot. Returns it, or -ENFILE: there is none, and
 * the descriptor is closed. */
int32_t ring_fd_take(struct ring_table *table, int32_t fd);

/* ring_uring_accept.c */
int ring_accept_listen(struct ring *base, unsigned listener, int fd);
void ring_accept_listen_stop(struct ring *base);
int ring_accept_init(struct ring_uring *ring);
void ring_accept_complete(struct ring_uring *ring, uint32_t index, uint32_t table_index,
                          int32_t res, bool more);
void ring_accept_released(struct ring_uring *ring);

/* ring_uring_client.c */
void ring_client_connect(struct ring *base, uint32_t slot, const struct sockaddr_in *from,
                         const struct sockaddr_in *to);
void ring_client_abort(struct ring *base, uint32_t slot);

/* ring_uring_trial.c: whether the peer of a closed socket sees so at once, while another one is
 * parked. Returns 1 or 0, or negative errno where io_uring does not do even that much. */
int ring_trial(bool direct);

/* ring_probe.c */
unsigned ring_table_slots(void);
void ring_explain(int err, char *why, size_t why_size);
