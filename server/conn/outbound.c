/* outbound: from queued frames to one send per socket and turn, and what happens to readers that do
 * not keep up.
 *
 *   conn_send ─► the line's run (one block, one range) ─► dirty list ─► shard_flush ─► ring_send
 *          └─► a second range, or a full socket: the queue in conn_extra ─► gathered send
 *
 * A socket that did not take everything is watched for writing and leaves the list. What waits for
 * it is charged to the connection, by kind (enum send_kind): live messages against queue_bytes_max,
 * where the policy `slow_reader` decides what becomes of those beyond; all of it against the
 * shard's queue_total_bytes_max, beyond which those who have kept most waiting for longest are
 * closed. Whoever takes what it is sent holds nothing, and is not among them. */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "conn/carrier.h"
#include "conn/check.h"
#include "conn/secure.h"
#include "conn/shard.h"

enum {
    REST_COPIED_MAX = 4096, /* of a run that others share */
};

uint64_t conn_queued(const struct conn *conn)
{
    return conn->out_len + (conn->extra ? queue_bytes(&conn->extra->queue) : 0);
}

uint64_t conn_waiting(const struct conn *conn)
{
    return conn_queued(conn) + (conn->extra ? queue_places(&conn->extra->queue) : 0);
}

uint64_t conn_keeps(const struct conn *conn)
{
    uint64_t line = conn->out_block ? block_keeps(conn->out_block, conn->out_len) : 0;
    if (!conn->extra)
        return line;
    return line + conn->extra->queue.keeps + queue_room(&conn->extra->queue);
}

/* Whether a frame may be added to the line's run. A replay stays by itself: it does not count as
 * what a reader is behind. */
static bool may_lengthen(const struct conn *conn, struct frame frame, enum send_kind kind)
{
    bool apart = kind != conn->out_kind && (kind == SEND_REPLAY || conn->out_kind == SEND_REPLAY);
    return conn->out_block == frame.block && conn->out_at + conn->out_len == frame.at && !apart &&
           !(conn->link & LINK_SEALED) && !(conn->extra && conn->extra->queue.count > 0);
}

void conn_mark_dirty(struct shard *shard, struct conn *conn)
{
    if (conn->link & (LINK_DIRTY | LINK_WATCH_WRITE))
        return;
    if (conn->link & LINK_STREAM) {
        stream_ready(shard, conn);
        return;
    }
    uint32_t slot = conn_slot(shard, conn);
    conn->link |= LINK_DIRTY;
    conn->next_dirty = TIMERS_NONE;
    if (shard->dirty_head == TIMERS_NONE)
        shard->dirty_head = slot;
    else
        shard->slab[shard->dirty_tail].next_dirty = slot;
    shard->dirty_tail = slot;
    shard->dirty_count++;
}

/* ---- the shard's total ---- */

static void count_places(struct shard *shard, const struct send_queue *queue, uint64_t before)
{
    shard->places_bytes += queue_room(queue) - before;
}

/* Its socket was full, and has not taken everything since. */
static bool owes(const struct conn *conn)
{
    return conn->extra && conn->extra->owed.bytes > 0;
}

/* ---- the line's run and the queue behind it ---- */

static void line_set(struct conn *conn, const struct queued_frame *frame)
{
    conn->out_block = frame->block;
    conn->out_at = frame->at;
    conn->out_len = frame->len;
    conn->out_kind = frame->kind;
}

static struct queued_frame line_of(const struct conn *conn)
{
    return (struct queued_frame){conn->out_block, conn->out_at, conn->out_len, 0, conn->out_kind};
}

/* Returns 0 or -ENOMEM. */
static int push(struct shard *shard, struct conn *conn, const struct queued_frame *frame)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra)
        return -ENOMEM;
    uint64_t before = queue_room(&extra->queue);
    int err = queue_push(&extra->queue, &shard->blocks, frame);
    count_places(shard, &extra->queue, before);
    return err;
}

static unsigned drop_live(struct shard *shard, struct conn *conn, uint64_t bytes)
{
    if (!conn->extra)
        return 0;
    struct send_queue *queue = &conn->extra->queue;
    uint64_t before = queue_room(queue);
    unsigned dropped = queue_drop_live(queue, &shard->blocks, bytes);
    count_places(shard, queue, before);
    return dropped;
}

void conn_queue_clear(struct shard *shard, struct conn *conn)
{
    if (conn->out_block)
        block_unref(&shard->blocks, conn->out_block);
    conn->out_block = NULL;
    conn->out_len = 0;
    if (!conn->extra)
        return;
    struct send_queue *queue = &conn->extra->queue;
    uint64_t before = queue_room(queue);
    queue_clear(queue, &shard->blocks);
    count_places(shard, queue, before);
    budget_clear(&shard->budgets[BUDGET_OUTPUT], &conn->extra->owed);
    budget_clear(&shard->budgets[BUDGET_KEPT], &conn->extra->kept);
    conn_extra_trim(shard, conn);
}

/* ---- queueing ---- */

/* What a reader is behind: all but a replay, the next part of which is not made before this one has
 * left. */
static uint64_t behind_bytes(const struct conn *conn)
{
    uint64_t replay = conn->out_kind == SEND_REPLAY ? conn->out_len : 0;
    if (conn->extra)
        replay += conn->extra->queue.bytes[SEND_REPLAY];
    return conn_waiting(conn) - replay;
}

/* Makes room for a live message at a full socket. Returns false when the message, or the
 * connection, is gone. */
static bool make_room(struct shard *shard, struct conn *conn, struct frame frame)
{
    uint64_t max = (uint64_t)shard->settings->queue_bytes_max;
    uint64_t wanted = behind_bytes(conn) + queue_cost(frame.len);
    uint64_t over = wanted > max ? wanted - max : 0;
    unsigned dropped = 0;
    /* A client with a session believes in its position, and is not told of messages dropped; one
     * with deltas has to have been given the message before. */
    bool believes = conn->role & ROLE_SESSION || conn->asked & ASKED_DELTA;
    enum slow_reader_policy policy =
        conn->role & ROLE_LATEST ? SLOW_READER_KEEP_LATEST : shard->slow_reader;
    switch (believes ? SLOW_READER_DISCONNECT : policy) {
    case SLOW_READER_DISCONNECT:
        if (over > 0)
            conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
        return over == 0;
    case SLOW_READER_DROP_OLDEST:
        if (over > 0)
            dropped = drop_live(shard, conn, over);
        break;
    case SLOW_READER_KEEP_LATEST:
        dropped = drop_live(shard, conn, UINT64_MAX);
        break;
    }
    counter_add(&shard->counters.messages_dropped, dropped);
    return true;
}

/* Whether a full socket may have one frame more. Else the connection is closed, or the message
 * dropped. */
static bool may_wait(struct shard *shard, struct conn *conn, struct frame frame,
                     enum send_kind kind)
{
    switch (kind) {
    case SEND_CONTROL:
        if (!conn->extra || conn->extra->queue.bytes[SEND_CONTROL] + frame.len <= CONTROL_BYTES_MAX)
            return true;
        conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
        return false;
    case SEND_LIVE:
        return make_room(shard, conn, frame);
    case SEND_PONG:
    case SEND_ANSWER:
    case SEND_REPLAY:
    case SEND_KINDS:
        break;
    }
    return true;
}

void conn_send(struct shard *shard, struct conn *conn, struct frame frame, enum send_kind kind,
               unsigned messages)
{
    if (conn->state != CONN_OPEN)
        return;
    if (!frame.block) {
        if (kind != SEND_PONG)
            conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    if (budgets_spent(shard, BUDGET_OUTPUT)) {
        budgets_relieve(shard, BUDGET_OUTPUT);
        if (conn->state != CONN_OPEN)
            return;
    }
    bool blocked = conn_blocked(conn);
    if (blocked && !may_wait(shard, conn, frame, kind))
        return;
    if (owes(conn))
        frame = blocks_keep(&shard->blocks, frame);
    if (!blocked && kind != SEND_CONTROL)
        conn->told = shard->beat;
    const struct queued_frame queued = {frame.block, frame.at, frame.len, messages, (uint8_t)kind};
    if (!conn->out_block) {
        block_ref(frame.block);
        line_set(conn, &queued);
    } else if (!blocked && may_lengthen(conn, frame, kind)) {
        conn->out_len += frame.len;
    } else if (push(shard, conn, &queued) < 0) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    conn_mark_dirty(shard, conn);
    if (owes(conn))
        budgets_charge_output(shard, conn);
}

/* What is left of the line's run is copied to where it keeps no more than itself: if it is short,
 * or nobody else needs the block. Else it stays where others have it too, and is charged for all
 * of that: a copy for each reader of a large message would be more than they hold together. */
static void keep_rest(struct shard *shard, struct conn *conn)
{
    bool alone = conn->out_block->refs == 1 && conn->out_len <= BLOCK_BYTES;
    if (!alone && conn->out_len > REST_COPIED_MAX)
        return;
    struct queued_frame line = line_of(conn);
    queued_keep(&line, &shard->blocks);
    line_set(conn, &line);
}

/* The socket is full: from here on what waits for it is charged. Returns 0 or -ENOMEM. */
static int settle(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra)
        return -ENOMEM;
    keep_rest(shard, conn);
    if (!owes(conn))
        queue_keep(&extra->queue, &shard->blocks);
    budgets_charge_output(shard, conn);
    return 0;
}

/* It may be a part of a frame: whatever it was of, it must leave. Returns 0 or -ENOMEM. */
static int put_line_back(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn_extra(conn);
    struct queued_frame rest = line_of(conn);
    if (!extra)
        return -ENOMEM;
    if (rest.kind != SEND_REPLAY)
        rest.kind = SEND_ANSWER;
    uint64_t before = queue_room(&extra->queue);
    int err = queue_put_back(&extra->queue, &rest);
    if (err < 0)
        return err;
    count_places(shard, &extra->queue, before);
    conn->out_block = NULL;
    return 0;
}

void conn_send_first(struct shard *shard, struct conn *conn, struct frame frame)
{
    if (!frame.block || (conn->out_block && put_line_back(shard, conn) < 0)) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    block_ref(frame.block);
    line_set(conn, &(struct queued_frame){frame.block, frame.at, frame.len, 0, SEND_ANSWER});
    if (conn_blocked(conn) && settle(shard, conn) < 0)
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
}

void conn_send_bytes(struct shard *shard, struct conn *conn, struct span bytes)
{
    conn_send(shard, conn, blocks_copy(&shard->blocks, bytes.ptr, bytes.len), SEND_CONTROL, 0);
}

/* ---- flushing ---- */

/* Puts a connection into the batch. Returns false when the batch has no room for a gathered send,
 * or for what is to be sealed. */
static bool batch_add(struct shard *shard, struct send_batch *batch, struct conn *conn,
                      uint32_t slot)
{
    struct ring_io *io = &batch->io[batch->count];
    *io = (struct ring_io){
        .slot = slot,
        .iov = {conn->out_block->bytes + conn->out_at, conn->out_len},
    };
    if (conn->link & LINK_KEYED) {
        if (!secure_seal(shard, conn, io))
            return false;
        batch->conns[batch->count++] = conn;
        return true;
    }
    struct send_queue *queue = conn->extra ? &conn->extra->queue : NULL;
    if (queue && queue->count > 0) {
        if (batch->gathered_count == SEND_GATHERED)
            return false;
        struct iovec *vector = &batch->vectors[batch->gathered_count * SEND_VECTORS];
        unsigned n = 0;
        vector[n++] = io->iov;
        for (uint32_t i = 0; i < queue->count && n < SEND_VECTORS; i++) {
            const struct queued_frame *entry = queue_at(queue, i);
            vector[n++] = (struct iovec){entry->block->bytes + entry->at, entry->len};
            io->iov.iov_len += entry->len;
        }
        struct msghdr *head = &batch->gathered[batch->gathered_count++];
        *head = (struct msghdr){.msg_iov = vector, .msg_iovlen = n};
        io->msg = head;
    }
    batch->conns[batch->count++] = conn;
    return true;
}

/* The line's run has left: the next frame of the queue takes its place. */
static void promote(struct shard *shard, struct conn *conn)
{
    block_unref(&shard->blocks, conn->out_block);
    conn->out_block = NULL;
    conn->out_len = 0;
    if (!conn->extra || conn->extra->queue.count == 0)
        return;
    struct send_queue *queue = &conn->extra->queue;
    uint64_t before = queue_room(queue);
    const struct queued_frame first = queue_take(queue);
    count_places(shard, queue, before);
    line_set(conn, &first);
}

void conn_consume(struct shard *shard, struct conn *conn, uint32_t bytes)
{
    while (bytes > 0 && bytes >= conn->out_len) {
        bytes -= conn->out_len;
        promote(shard, conn);
    }
    conn->out_at += bytes;
    conn->out_len -= bytes;
}

static void sent(struct shard *shard, struct conn *conn, const struct ring_io *io)
{
    if (conn->link & LINK_KEYED) {
        secure_sent(shard, conn, io);
    } else if (io->res > 0) {
        counter_add(&shard->counters.bytes_sent, (uint64_t)io->res);
        conn_consume(shard, conn, (uint32_t)io->res);
    }
}

/* Requests wait behind the one being answered: reading goes on when that has its answer. */
static bool stash_full(const struct shard *shard, const struct conn *conn)
{
    return conn->extra && conn->extra->input.len > (size_t)shard->settings->head_bytes_max;
}

static void go_on(struct shard *shard, struct conn *conn)
{
    if (conn_transport(shard, conn)->drained)
        conn_transport(shard, conn)->drained(shard, conn);
    else if (!stash_full(shard, conn))
        conn_resume(shard, conn);
}

void conn_drained(struct shard *shard, struct conn *conn)
{
    if (conn->extra && conn->extra->stalled) {
        timers_arm(&shard->timers, conn_slot(shard, conn), conn->extra->deadline_ns);
        conn->extra->stalled = false;
    }
    if (conn->extra) {
        budget_clear(&shard->budgets[BUDGET_OUTPUT], &conn->extra->owed);
        budget_clear(&shard->budgets[BUDGET_KEPT], &conn->extra->kept);
    }
    conn_extra_trim(shard, conn);
    if (conn->extra && conn->extra->carrier && conn->extra->carrier->holds_back)
        carrier_due(shard, conn->extra->carrier);
    if (conn->state == CONN_FINISHING)
        conn_sent_all(shard, conn);
    else if (conn->link & (LINK_PAUSED | LINK_CATCHES_UP))
        go_on(shard, conn);
}

/* While the socket is full the connection's deadline is the stall's; its own is kept aside. Returns
 * 0 or -ENOMEM. */
static int stall(struct shard *shard, struct conn *conn, bool moved)
{
    struct conn_extra *extra = conn_extra(conn);
    uint32_t slot = conn_slot(shard, conn);
    if (!extra)
        return -ENOMEM;
    extra->moved |= moved;
    if (extra->stalled)
        return 0;
    extra->stalled = true;
    extra->moved = moved;
    extra->deadline_ns = timers_deadline_ns(&shard->timers, slot);
    timers_arm(&shard->timers, slot, shard->now_ns + shard->settings->stall_timeout_ms * 1000000);
    return 0;
}

/* A handshake has its time, however slowly its bytes are taken, and so has the end. */
void conn_wait_for_room(struct shard *shard, struct conn *conn, bool moved)
{
    counter_add(&shard->counters.sends_short, 1);
    bool timed = conn->link & LINK_HANDSHAKE || conn->state == CONN_FINISHING;
    if (settle(shard, conn) < 0 || (!timed && stall(shard, conn, moved) < 0)) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    conn->link |= LINK_WATCH_WRITE;
    if (!(conn->link & LINK_STREAM))
        ring_watch(shard->ring, conn_slot(shard, conn), RING_WRITE);
}

static void batch_run(struct shard *shard, struct send_batch *batch)
{
    ring_send(shard->ring, batch->io, batch->count);
    counter_add(&shard->counters.sends, batch->count);
    for (unsigned i = 0; i < batch->count; i++) {
        struct conn *conn = batch->conns[i];
        int32_t res = batch->io[i].res;
        conn->link &= ~(uint32_t)LINK_DIRTY;
        if (conn->state == CONN_CLOSING) {
            conn_release(shard, conn); /* closed for room, since the send */
            continue;
        }
        sent(shard, conn, &batch->io[i]);
        if (!conn_alive(conn))
            continue; /* memory was out for what the socket did not take */
        if (res < 0 && res != -EAGAIN) {
            conn_end(shard, conn, END_CLOSE, close_reason_of_error(res));
        } else if (!conn->out_block) {
            conn_drained(shard, conn);
        } else if (res >= 0 && (size_t)res == batch->io[i].iov.iov_len) {
            conn_mark_dirty(shard, conn);
        } else {
            conn_wait_for_room(shard, conn, res > 0);
        }
        conn_assert(shard, conn);
    }
    batch->count = 0;
    batch->gathered_count = 0;
    batch->bytes = 0;
    if (shard->secure)
        shard->secure->area_used = 0;
}

/* Collects those at the head of the list, up to `last`. Returns whether that was reached. */
static bool collect(struct shard *shard, struct send_batch *batch, uint32_t last)
{
    size_t bytes = 0;
    bool all = shard->dirty_head == TIMERS_NONE;
    while (batch->count < SEND_BATCH && bytes < SEND_BATCH_BYTES && !all) {
        uint32_t slot = shard->dirty_head;
        struct conn *conn = &shard->slab[slot];
        bool sends = conn->state != CONN_CLOSING && conn->out_block;
        if (sends && !batch_add(shard, batch, conn, slot))
            break;
        all = slot == last;
        shard->dirty_count--;
        shard->dirty_head = conn->next_dirty;
        if (shard->dirty_head != TIMERS_NONE)
            __builtin_prefetch(&shard->slab[shard->dirty_head]);
        if (sends) {
            bytes += batch->io[batch->count - 1].iov.iov_len;
            continue;
        }
        conn->link &= ~(uint32_t)LINK_DIRTY;
        conn_release(shard, conn);
    }
    batch->bytes += bytes;
    return all;
}

void shard_flush_batch(struct shard *shard)
{
    collect(shard, shard->batch, shard->dirty_tail);
    batch_run(shard, shard->batch);
}

/* Those on sockets of their own are bounded by what they send. */
static uint32_t carriers_at_once(const struct shard *shard)
{
    uint32_t due = shard->streams.due_count;
    uint32_t most = datagrams_served(shard) ? CARRIERS_PER_TURN : due;
    return due < most ? due : most;
}

bool shard_flush(struct shard *shard)
{
    struct send_batch *batch = shard->batch;
    uint32_t carriers = carriers_at_once(shard), last = shard->dirty_tail;
    bool all = false;
    size_t bytes = 0;
    for (unsigned done = 0; done < FLUSH_MAX && bytes < FLUSH_BYTES_MAX && !all;) {
        uint32_t turned = carriers > 0 ? carriers_turn(shard, carriers) : 0;
        carriers -= turned;
        if (turned > 0)
            last = shard->dirty_tail;
        all = shard->dirty_head == TIMERS_NONE || collect(shard, batch, last);
        all &= carriers == 0 || !shard->streams.due;
        done += batch->count;
        bytes += batch->bytes;
        batch_run(shard, batch);
    }
    blocks_keep_end(&shard->blocks);
    budgets_show(shard);
    return shard->dirty_head != TIMERS_NONE || shard->streams.due;
}

void shard_writable(struct shard *shard, uint32_t slot)
{
    struct conn *conn = &shard->slab[slot];
    conn->link &= ~(uint32_t)LINK_WATCH_WRITE;
    if (conn->state == CONN_CLOSING) {
        conn_release(shard, conn);
        return;
    }
    if (conn->out_block)
        conn_mark_dirty(shard, conn);
}
