/* outbound: from queued frames to one send per socket and turn, and what happens to readers that do
 * not keep up.
 *
 *   conn_send ─► the line's run (one block, one range) ─► dirty list ─► shard_flush ─► ring_send
 *          └─► a second range, or a full socket: the queue in conn_extra ─► gathered send
 *
 * A socket that did not take everything is watched for writing and leaves the list; live messages
 * for it then count against queue_bytes_max, and the policy `slow_reader` decides what becomes of
 * those beyond. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn/check.h"
#include "conn/secure.h"
#include "conn/shard.h"

/* Whether frames may be added to the line's run. */
static bool may_lengthen(const struct conn *conn)
{
    return !(conn->link & (LINK_WATCH_WRITE | LINK_SEALED));
}

uint64_t conn_queued(const struct conn *conn)
{
    return conn->out_len + (conn->extra ? conn->extra->queue.bytes : 0);
}

void conn_mark_dirty(struct shard *shard, struct conn *conn)
{
    if (conn->link & (LINK_DIRTY | LINK_WATCH_WRITE))
        return;
    uint32_t slot = conn_slot(shard, conn);
    conn->link |= LINK_DIRTY;
    conn->next_dirty = TIMERS_NONE;
    if (shard->dirty_head == TIMERS_NONE)
        shard->dirty_head = slot;
    else
        shard->slab[shard->dirty_tail].next_dirty = slot;
    shard->dirty_tail = slot;
}

/* ---- the queue behind the line's run ---- */

static struct queued_frame *queue_at(struct send_queue *queue, uint32_t index)
{
    return &queue->frames[(queue->head + index) & (queue->size - 1)];
}

/* What a frame costs as long as it waits: with many small ones, its place is most of it. */
static uint64_t cost_of(uint32_t len)
{
    return (uint64_t)len + sizeof(struct queued_frame);
}

/* Returns false when memory is out. */
static bool queue_has_place(struct send_queue *queue)
{
    if (queue->count < queue->size)
        return true;
    uint32_t size = queue->size ? queue->size * 2 : 4;
    struct queued_frame *bigger = malloc(size * sizeof *bigger);
    if (!bigger)
        return false;
    for (uint32_t i = 0; i < queue->count; i++)
        bigger[i] = *queue_at(queue, i);
    free(queue->frames);
    queue->frames = bigger;
    queue->size = size;
    queue->head = 0;
    return true;
}

/* Returns 0 or -ENOMEM. */
static int queue_push(struct shard *shard, struct send_queue *queue,
                      const struct queued_frame *entry)
{
    if (!queue_has_place(queue))
        return -ENOMEM;
    *queue_at(queue, queue->count++) = *entry;
    queue->bytes += entry->len;
    shard->places_bytes += sizeof *entry;
    block_ref(entry->block);
    return 0;
}

/* Gives up what an entry holds; who calls takes it out. */
static void entry_release(struct shard *shard, struct send_queue *queue,
                          const struct queued_frame *entry)
{
    queue->bytes -= entry->len;
    shard->places_bytes -= sizeof *entry;
    block_unref(&shard->blocks, entry->block);
}

/* The line's run goes back to the front of the queue. It may be a part of a frame, so it must
 * leave; its reference moves. */
static void queue_put_back(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn_extra(conn);
    bool has_place = extra && queue_has_place(&extra->queue);
    assert(has_place && "memory is out, and bytes are owed");
    struct send_queue *queue = &extra->queue;
    queue->head = (queue->head - 1) & (queue->size - 1);
    queue->count++;
    *queue_at(queue, 0) =
        (struct queued_frame){conn->out_block, conn->out_at, conn->out_len, 0, SEND_MUST};
    queue->bytes += conn->out_len;
    shard->places_bytes += sizeof(struct queued_frame);
}

static void queue_pop(struct shard *shard, struct send_queue *queue)
{
    entry_release(shard, queue, queue_at(queue, 0));
    queue->head = (queue->head + 1) & (queue->size - 1);
    queue->count--;
}

/* Takes live messages out, oldest first, until `bytes` are gone or there are none. Returns how many
 * went. Costs what goes, and not what stays: a full queue pays this for every message. */
static unsigned queue_drop_live(struct shard *shard, struct send_queue *queue, uint64_t bytes)
{
    uint32_t seen = 0, kept = 0;
    unsigned dropped = 0;
    uint64_t gone = 0;
    for (; seen < queue->count && gone < bytes; seen++) {
        struct queued_frame *entry = queue_at(queue, seen);
        if (entry->kind == SEND_LIVE) {
            gone += cost_of(entry->len);
            dropped += entry->messages;
            entry_release(shard, queue, entry);
        } else {
            *queue_at(queue, kept++) = *entry;
        }
    }
    for (uint32_t i = 1; i <= kept; i++)
        *queue_at(queue, seen - i) = *queue_at(queue, kept - i);
    queue->head = (queue->head + seen - kept) & (queue->size - 1);
    queue->count -= seen - kept;
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
    while (queue->count > 0)
        queue_pop(shard, queue);
    conn_extra_trim(conn);
}

/* ---- queueing ---- */

/* Makes room for a live message at a full socket. Returns false when the message, or the
 * connection, is gone. */
static bool make_room(struct shard *shard, struct conn *conn, struct frame frame)
{
    uint64_t max = (uint64_t)shard->settings->queue_bytes_max;
    uint64_t places = conn->extra ? conn->extra->queue.count * sizeof(struct queued_frame) : 0;
    uint64_t wanted = conn_queued(conn) + places + cost_of(frame.len);
    uint64_t over = wanted > max ? wanted - max : 0;
    unsigned dropped = 0;
    switch (shard->settings->slow_reader) {
    case SLOW_READER_DISCONNECT:
        if (over > 0)
            conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
        return over == 0;
    case SLOW_READER_DROP_OLDEST:
        if (over > 0 && conn->extra)
            dropped = queue_drop_live(shard, &conn->extra->queue, over);
        break;
    case SLOW_READER_KEEP_LATEST:
        if (conn->extra)
            dropped = queue_drop_live(shard, &conn->extra->queue, UINT64_MAX);
        break;
    }
    counter_add(&shard->counters.messages_dropped, dropped);
    return true;
}

static uint64_t waiting_bytes(const struct shard *shard)
{
    return shard->blocks.bytes + shard->places_bytes;
}

/* Everybody who has something waiting is then closed when more is to wait, replays included. */
static bool too_much_waits(const struct shard *shard)
{
    return waiting_bytes(shard) > (uint64_t)shard->settings->queue_total_bytes_max;
}

/* A second run. Returns 0 or -ENOMEM. */
static int queue_add(struct shard *shard, struct conn *conn, const struct queued_frame *entry)
{
    struct conn_extra *extra = conn_extra(conn);
    int err = extra ? queue_push(shard, &extra->queue, entry) : -ENOMEM;
    assert((err == 0 || entry->kind != SEND_MUST) && "memory is out, and a frame is owed");
    return err;
}

void conn_send(struct shard *shard, struct conn *conn, struct frame frame, enum send_kind kind,
               unsigned messages)
{
    assert(frame.block ? frame.len > 0 : kind != SEND_MUST);
    if (conn->state != CONN_OPEN)
        return;
    bool too_much = conn_queued(conn) > 0 && too_much_waits(shard);
    if (kind != SEND_MUST && (!frame.block || too_much)) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    if (conn_blocked(conn) && kind == SEND_LIVE && !make_room(shard, conn, frame))
        return;

    bool queued = conn->extra && conn->extra->queue.count > 0;
    if (!conn->out_block) {
        block_ref(frame.block);
        conn->out_block = frame.block;
        conn->out_at = frame.at;
        conn->out_len = frame.len;
    } else if (!queued && may_lengthen(conn) && conn->out_block == frame.block &&
               conn->out_at + conn->out_len == frame.at) {
        conn->out_len += frame.len;
    } else {
        const struct queued_frame entry = {frame.block, frame.at, frame.len, messages,
                                           (uint8_t)kind};
        if (queue_add(shard, conn, &entry) < 0) {
            conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
            return;
        }
    }
    conn_mark_dirty(shard, conn);
}

void conn_send_first(struct shard *shard, struct conn *conn, struct frame frame)
{
    if (conn->out_block)
        queue_put_back(shard, conn);
    block_ref(frame.block);
    conn->out_block = frame.block;
    conn->out_at = frame.at;
    conn->out_len = frame.len;
}

void conn_send_bytes(struct shard *shard, struct conn *conn, struct span bytes)
{
    conn_send(shard, conn, blocks_copy(&shard->blocks, bytes.ptr, bytes.len), SEND_MUST, 0);
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
    const struct queued_frame first = *queue_at(&conn->extra->queue, 0);
    block_ref(first.block);
    queue_pop(shard, &conn->extra->queue);
    conn->out_block = first.block;
    conn->out_at = first.at;
    conn->out_len = first.len;
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

/* Everything has left. */
static void drained(struct shard *shard, struct conn *conn)
{
    if (conn->extra && conn->extra->stalled) {
        timers_arm(&shard->timers, conn_slot(shard, conn), conn->extra->deadline_ns);
        conn->extra->stalled = false;
    }
    conn_extra_trim(conn);
    if (conn->state == CONN_FINISHING)
        conn_sent_all(shard, conn);
    else if (conn->link & LINK_PAUSED)
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
static void wait_for_room(struct shard *shard, struct conn *conn, bool moved)
{
    counter_add(&shard->counters.sends_short, 1);
    bool timed = conn->link & LINK_HANDSHAKE || conn->state == CONN_FINISHING;
    if (!timed && stall(shard, conn, moved) < 0) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    conn->link |= LINK_WATCH_WRITE;
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
        sent(shard, conn, &batch->io[i]);
        if (res < 0 && res != -EAGAIN) {
            conn_end(shard, conn, END_CLOSE, close_reason_of_error(res));
        } else if (!conn->out_block) {
            drained(shard, conn);
        } else if (res >= 0 && (size_t)res == batch->io[i].iov.iov_len) {
            conn_mark_dirty(shard, conn);
        } else {
            wait_for_room(shard, conn, res > 0);
        }
        conn_assert(shard, conn);
    }
    batch->count = 0;
    batch->gathered_count = 0;
    if (shard->secure)
        shard->secure->area_used = 0;
}

/* Sends for up to FLUSH_MAX connections, once for each: who has more to send, or is answered anew,
 * comes after the others. Returns whether some are left for the next turn. */
bool shard_flush(struct shard *shard)
{
    struct send_batch *batch = shard->batch;
    uint32_t last = shard->dirty_tail;
    bool all = shard->dirty_head == TIMERS_NONE;
    for (unsigned done = 0; done < FLUSH_MAX && !all;) {
        while (batch->count < SEND_BATCH && !all) {
            uint32_t slot = shard->dirty_head;
            struct conn *conn = &shard->slab[slot];
            bool sends = conn->state != CONN_CLOSING && conn->out_block;
            if (sends && !batch_add(shard, batch, conn, slot))
                break;
            all = slot == last;
            shard->dirty_head = conn->next_dirty;
            if (shard->dirty_head != TIMERS_NONE)
                __builtin_prefetch(&shard->slab[shard->dirty_head]);
            if (sends)
                continue;
            conn->link &= ~(uint32_t)LINK_DIRTY;
            conn_release(shard, conn);
        }
        done += batch->count;
        batch_run(shard, batch);
    }
    counter_set(&shard->counters.queue_bytes, waiting_bytes(shard));
    return shard->dirty_head != TIMERS_NONE;
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
