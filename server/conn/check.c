#include "conn/check.h"

#include "conn/carrier.h"
#include "hub/hub.h"

/* One rule a line: a sentence for when it is broken. */
#define MUST(holds, broken)                                                                        \
    do {                                                                                           \
        if (!(holds))                                                                              \
            return broken;                                                                         \
    } while (0)

static bool has(const struct conn *conn, uint32_t link)
{
    return conn->link & link;
}

static bool is_timed(const struct shard *shard, const struct conn *conn)
{
    return timers_deadline_ns(&shard->timers, conn_slot(shard, conn)) != 0;
}

/* ---- by state ---- */

/* A request that the hub answers in any case needs no deadline, nor does an answer whose next piece
 * comes in its turn. Those of QUIC and WebRTC are alarms. */
static const char *open_check(const struct shard *shard, const struct conn *conn)
{
    bool awaits_us = conn->transport == TRANSPORT_POLL || conn->transport == TRANSPORT_PUBLISH ||
                     conn->transport == TRANSPORT_ANSWER || conn->transport == TRANSPORT_OPENING ||
                     conn->transport == TRANSPORT_SERVER_API || conn->transport == TRANSPORT_QUIC ||
                     conn->transport == TRANSPORT_RTC;
    bool stalled = conn->extra && conn->extra->stalled;
    MUST(awaits_us || is_timed(shard, conn), "is open, and has no deadline");
    MUST(!stalled || conn->out_block, "is stalled, and has nothing to send");
    MUST(!stalled || !has(conn, LINK_HANDSHAKE), "is stalled in its handshake");
    MUST(!has(conn, LINK_WATCH_WRITE) || conn->out_block, "waits for room for nothing");
    MUST(!has(conn, LINK_STREAM) || !has(conn, LINK_WATCH_WRITE) || has(conn, LINK_OFFERED),
         "waits for a window, and its carrier does not know");
    MUST(!has(conn, LINK_NOTIFIED), "is open, and has said goodbye");
    MUST(!has(conn, LINK_CATCHES_UP) || conn->out_block, "waits for nothing to leave");
    MUST(conn->transport != TRANSPORT_ANSWER || shard->answers || conn->out_block,
         "is owed an answer, and nobody gives it");
    return NULL;
}

static const char *ending_check(const struct shard *shard, const struct conn *conn)
{
    bool finishing = conn->state == CONN_FINISHING;
    bool ends = has(conn, LINK_STREAM) && !has(conn, LINK_END_SENT);
    MUST(conn->subscriptions == HUB_NONE, "is ending, and subscribed");
    MUST(is_timed(shard, conn), "is ending, and has no deadline");
    MUST(!conn->extra || !conn->extra->stalled, "is ending, and has the deadline of a stall");
    MUST(!has(conn, LINK_PAUSED), "is ending, and paused");
    MUST(conn->end_reason < CLOSE_REASON_COUNT, "ends for no reason");
    MUST(!finishing || ends || conn->out_block, "is finishing, and all has left");
    MUST(finishing || !conn->out_block, "lingers, and has something to send");
    MUST(finishing || !has(conn, LINK_INPUT_ENDED), "lingers for a peer that sends nothing");
    return NULL;
}

static const char *gone_check(const struct shard *shard, const struct conn *conn)
{
    bool closing = conn->state == CONN_CLOSING;
    MUST(!conn->out_block && conn->out_len == 0, "is closed, and holds a frame");
    MUST(!conn->extra, "is closed, and holds memory");
    MUST(conn->subscriptions == HUB_NONE || conn->generation == 0, "is closed, and subscribed");
    MUST(conn->generation == 0 || !is_timed(shard, conn), "is closed, and has a deadline");
    MUST(!closing || has(conn, LINK_BUSY), "is held for nothing");
    MUST(closing || !has(conn, LINK_BUSY), "is free, and something refers to it");
    MUST(!has(conn, LINK_COUNTED), "is closed, and counted on its address");
    return NULL;
}

/* ---- what is queued ---- */

static bool run_is_inside(const struct block *block, uint32_t at, uint32_t len)
{
    return block->refs > 0 && len > 0 && (uint64_t)at + len <= block->used;
}

static const char *queue_check(const struct send_queue *queue)
{
    uint64_t bytes = 0, keeps = 0;
    unsigned pongs = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct queued_frame *frame = queue_at(queue, i);
        if (!run_is_inside(frame->block, frame->at, frame->len))
            return "has a frame queued outside of its block";
        bytes += frame->len;
        keeps += block_keeps(frame->block, frame->len);
        pongs += frame->kind == SEND_PONG;
        if (frame->kind == SEND_PONG && i + 1 != queue->pong)
            return "has lost its pong";
    }
    if (pongs > 1)
        return "owes more than one pong";
    if (keeps != queue->keeps)
        return "keeps more of its blocks than is counted";
    return bytes == queue_bytes(queue) ? NULL : "has other bytes queued than are counted";
}

static uint64_t input_held(const struct conn_extra *extra)
{
    uint64_t stashes = (uint64_t)extra->input.size + extra->record.size + extra->message.size;
    return stashes > 0 ? stashes + sizeof *extra : 0;
}

static const char *output_check(const struct conn *conn)
{
    bool queued = conn->extra && conn->extra->queue.count > 0;
    MUST(!conn->out_block || run_is_inside(conn->out_block, conn->out_at, conn->out_len),
         "sends what is outside of its block");
    MUST(!conn->out_block || has(conn, LINK_DIRTY | LINK_WATCH_WRITE),
         "has something to send, and nobody will");
    MUST(!queued || conn->out_block, "has a queue behind nothing");
    MUST(!has(conn, LINK_WATCH_WRITE) || !conn->out_block ||
             (conn->extra && conn->extra->owed.bytes > 0),
         "has a full socket, and is not charged for what waits");
    MUST(!conn->extra || conn->extra->held.bytes >= input_held(conn->extra),
         "is charged less than it holds");
    MUST(!conn->extra || conn->extra->owed.bytes == 0 ||
             conn->extra->owed.bytes >= conn_waiting(conn),
         "is charged less than waits for it");
    MUST(!has(conn, LINK_SEALED) || (has(conn, LINK_KEYED) && conn->out_block),
         "has sealed nothing");
    MUST(!has(conn, LINK_DIRTY) || !has(conn, LINK_WATCH_WRITE),
         "is to be flushed into a full socket");
    return NULL;
}

static const char *secure_check(const struct conn *conn)
{
    const uint32_t stages = conn->link & (LINK_HANDSHAKE | LINK_KEYED);
    MUST(stages == 0 || has(conn, LINK_TLS), "has keys, and no TLS");
    MUST(stages != (LINK_HANDSHAKE | LINK_KEYED), "has keys before its handshake is over");
    MUST(!has(conn, LINK_WAITS) || has(conn, LINK_HANDSHAKE) || conn->state != CONN_OPEN,
         "waits for a handshake that is over");
    return NULL;
}

const char *conn_check(const struct shard *shard, const struct conn *conn)
{
    if (!conn_alive(conn))
        return gone_check(shard, conn);
    const char *broken =
        conn->state == CONN_OPEN ? open_check(shard, conn) : ending_check(shard, conn);
    if (!broken)
        broken = output_check(conn);
    return broken ? broken : secure_check(conn);
}

/* ---- a shard, after a turn ---- */

/* Of a block that several refer to, each has a part. */
static uint64_t block_share(const struct block *block)
{
    return (sizeof *block + block->size) / block->refs;
}

static uint64_t conn_share(const struct conn *conn)
{
    uint64_t sum = conn->out_block ? block_share(conn->out_block) : 0;
    const struct send_queue *queue = &conn->extra->queue;
    for (uint32_t i = 0; i < queue->count; i++)
        sum += block_share(queue_at(queue, i)->block);
    return sum + queue_room(queue);
}

static const char *extra_check(const struct conn *conn)
{
    if (!conn->extra)
        return NULL;
    if (conn->extra->owed.bytes > 0 && 2 * conn->extra->owed.bytes < conn_share(conn))
        return "is charged less than half of what it keeps";
    return queue_check(&conn->extra->queue);
}

/* What the connections together say of the shard's lists and counts. */
struct tally {
    uint32_t live, streams, carried, dirty, timed, counted;
    uint64_t places_bytes;
};

static const char *heard_check(const struct conn *conn)
{
    const uint32_t hears = LINK_WATCH_READ | LINK_PAUSED | LINK_INPUT_ENDED | LINK_WAITS;
    if (!conn_alive(conn) || has(conn, LINK_STREAM))
        return NULL;
    MUST(has(conn, hears), "is not listened to");
    MUST(!has(conn, LINK_RECEIVING), "is to be received from in no batch");
    MUST(!has(conn, LINK_PAUSED) || conn_queued(conn) > 0 || conn->transport != TRANSPORT_HTTP,
         "is paused for nothing");
    return NULL;
}

/* The line of a carrier without a socket: it is its own. */
static bool is_port(const struct shard *shard, const struct conn *conn)
{
    return has(conn, LINK_STREAM) && stream_link(shard, conn)->carrier == conn_slot(shard, conn);
}

/* A connection, whatever carries it. */
static bool is_connection(const struct conn *conn)
{
    return !has(conn, LINK_STREAM) || conn->transport == TRANSPORT_QUIC ||
           conn->transport == TRANSPORT_RTC;
}

static void tally_add(struct tally *tally, const struct shard *shard, const struct conn *conn)
{
    bool is_stream = has(conn, LINK_STREAM), port = is_port(shard, conn);
    const struct carrier *carrier = conn_carrier(shard, conn);
    tally->live += is_connection(conn) && !port && conn_alive(conn);
    tally->streams += is_stream && !port && conn_alive(conn);
    tally->carried += carrier ? carrier->count : 0;
    tally->dirty += !is_stream && has(conn, LINK_DIRTY);
    tally->counted += has(conn, LINK_COUNTED);
    tally->timed += conn->generation > 0 && is_timed(shard, conn);
    if (conn->extra)
        tally->places_bytes += queue_room(&conn->extra->queue);
}

static const char *tally_check(const struct tally *tally, const struct shard *shard)
{
    uint32_t dirty = 0;
    for (uint32_t slot = shard->dirty_head; slot != TIMERS_NONE && dirty <= tally->dirty;
         slot = shard->slab[slot].next_dirty)
        dirty++;
    MUST(tally->live == shard->live, "other connections are open than are counted");
    MUST(tally->streams == shard->streams.open, "other streams are open than are counted");
    MUST(tally->carried == tally->streams, "a stream has no carrier");
    MUST(tally->timed == shard->timers.armed, "other deadlines are set than are counted");
    MUST(tally->counted == counter_read(&shard->counters.addresses_counted),
         "others are counted on their addresses than are");
    MUST(tally->dirty == shard->dirty_count, "others have something to send than are counted");
    MUST(tally->dirty == dirty, "the list of those with something to send lacks some");
    MUST(tally->places_bytes == shard->places_bytes, "places are not counted");
    MUST(shard->readable_count == 0, "somebody is to be received from");
    return NULL;
}

/* Slots of the ring that were ever used, and then those of streams. */
static uint32_t next_slot(const struct shard *shard, uint32_t slot)
{
    return slot == shard->slots_high && slot < shard->streams.first ? shard->streams.first : slot;
}

const char *shard_check(const struct shard *shard, uint32_t *ret_slot)
{
    struct tally tally = {0};
    uint32_t end = shard->streams.first + shard->streams.high;
    for (uint32_t slot = next_slot(shard, 0); slot < end; slot = next_slot(shard, slot + 1)) {
        const struct conn *conn = &shard->slab[slot];
        const char *broken = conn_check(shard, conn);
        *ret_slot = slot;
        if (!broken)
            broken = heard_check(conn);
        if (!broken)
            broken = extra_check(conn);
        if (broken)
            return broken;
        tally_add(&tally, shard, conn);
    }
    *ret_slot = TIMERS_NONE;
    return tally_check(&tally, shard);
}
