/* http3_send: from what streams have queued to frames that the library sends, and keeps asking for
 * until they are acknowledged.
 *
 *   line's run ─► fill: DATA frame, copied ─► chunk ─► chunk     offsets in the stream:
 *                                             ▲ freed … sent … queued
 *
 * A stream is in the list of ready ones while it has something that the library has not taken. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/quic_internal.h"

enum {
    AHEAD_MAX = 16 * 1024, /* taken from a line, and not sent: there no policy reaches it */
    CHUNK_BYTES = 1024,    /* of one that is not larger for a larger piece */
};

/* ---- chunks ---- */

static struct http3_chunk *chunk_add(struct http3_stream *stream, size_t len)
{
    size_t size = len > CHUNK_BYTES ? len : len > CHUNK_BYTES / 4 ? CHUNK_BYTES : CHUNK_BYTES / 4;
    struct http3_chunk *chunk = quic_take(stream->quic, sizeof *chunk + size);
    if (!chunk)
        return NULL;
    *chunk = (struct http3_chunk){.size = (uint32_t)size};
    if (stream->last_chunk)
        stream->last_chunk->next = chunk;
    else
        stream->chunks = chunk;
    stream->last_chunk = chunk;
    return chunk;
}

static void chunk_remove(struct http3_stream *stream)
{
    struct http3_chunk *first = stream->chunks;
    stream->chunks = first->next;
    if (!stream->chunks)
        stream->last_chunk = NULL;
    stream->freed += first->len;
    quic_give(stream->quic, first);
}

void http3_chunks_free(struct http3_stream *stream)
{
    while (stream->chunks)
        chunk_remove(stream);
}

/* Room for `len` bytes that lie together, at most `len`; NULL: memory is out. */
static uint8_t *room_for(struct http3_stream *stream, size_t len)
{
    struct http3_chunk *last = stream->last_chunk;
    if (!last || last->size - last->len < len)
        last = chunk_add(stream, len);
    return last ? last->bytes + last->len : NULL;
}

static void commit(struct http3_stream *stream, size_t len)
{
    stream->last_chunk->len += (uint32_t)len;
    stream->queued += len;
}

int http3_queue(struct http3_stream *stream, const void *bytes, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *room = room_for(stream, len);
    if (!room)
        return -ENOMEM;
    memcpy(room, bytes, len);
    commit(stream, len);
    http3_ready(stream);
    return 0;
}

void http3_acked(struct http3_stream *stream, uint64_t offset)
{
    while (stream->chunks && stream->freed + stream->chunks->len <= offset &&
           stream->freed + stream->chunks->len <= stream->sent) {
        chunk_remove(stream);
    }
}

size_t http3_unsent(const struct http3_stream *stream, ngtcp2_vec *vectors, size_t max)
{
    uint64_t at = stream->freed;
    size_t count = 0;
    for (struct http3_chunk *chunk = stream->chunks; chunk && count < max; chunk = chunk->next) {
        uint64_t end = at + chunk->len;
        if (end > stream->sent) {
            size_t skip = stream->sent > at ? (size_t)(stream->sent - at) : 0;
            vectors[count++] = (ngtcp2_vec){chunk->bytes + skip, chunk->len - skip};
        }
        at = end;
    }
    return count;
}

void http3_took(struct http3_stream *stream, size_t len, bool end)
{
    stream->sent += len;
    stream->end_sent |= end;
    assert(stream->sent <= stream->queued);
}

/* ---- ready streams ---- */

bool http3_has_more(const struct http3_stream *stream)
{
    const struct conn *line = http3_line(stream->owner ? stream->owner : stream);
    return stream->sent < stream->queued || (stream->ends && !stream->end_sent) ||
           (line && line->link & LINK_OFFERED);
}

void http3_ready(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    if (stream->is_ready || stream->is_blocked || stream->is_over || !http3_has_more(stream))
        return;
    stream->is_ready = true;
    stream->next_ready = NULL;
    if (quic->last_ready)
        quic->last_ready->next_ready = stream;
    else
        quic->ready = stream;
    quic->last_ready = stream;
}

/* Of a run that is in several blocks each part is copied. Returns 0 or -ENOMEM. */
static int take_frame(struct http3_stream *sink, struct conn *line, size_t len)
{
    uint8_t *room = room_for(sink, 2 * VARINT_BYTES_MAX + len);
    if (!room)
        return -ENOMEM;
    size_t head = sink->is_raw ? 0 : http3_frame_head(room, HTTP3_DATA, len);
    for (size_t done = 0; done < len;) {
        size_t part = line->out_len < len - done ? line->out_len : len - done;
        assert(line->out_block);
        memcpy(room + head + done, line->out_block->bytes + line->out_at, part);
        conn_consume(sink->quic->shard, line, (uint32_t)part);
        done += part;
    }
    commit(sink, head + len);
    return 0;
}

void http3_filled(struct http3_stream *stream)
{
    struct conn *line = http3_line(stream);
    if (line->extra)
        line->extra->moved = true;
    if (!(line->link & LINK_DIRTY))
        stream_ready(stream->quic->shard, line);
    if (line->out_block)
        return;
    line->link &= ~(uint32_t)LINK_OFFERED;
    if (line->state != CONN_FINISHING)
        return;
    line->link |= LINK_END_SENT;
    if (stream->session && stream->session->is_open)
        http3_session_ends(stream);
    else if (stream->has_answer || stream->is_raw)
        stream->ends = true;
    else
        http3_stream_reset(stream, HTTP3_INTERNAL_ERROR); /* there was no memory for one */
}

/* Where a line's bytes go; NULL: nowhere yet. */
static struct http3_stream *sink_of(struct http3_stream *stream, const struct conn *line)
{
    if (!line->out_block || !stream->has_messages || !stream->session)
        return stream;
    return stream->session->out;
}

void http3_fill(struct http3_stream *stream)
{
    struct conn *line = http3_line(stream);
    bool is_latest = stream->latest && stream->has_messages;
    if (!line || !(line->link & LINK_OFFERED) || (is_latest && line->out_block))
        return;
    struct http3_stream *sink = sink_of(stream, line);
    uint64_t ahead = sink ? sink->queued - sink->sent : AHEAD_MAX;
    if (ahead >= AHEAD_MAX)
        return;
    uint64_t queued = conn_queued(line), room = AHEAD_MAX - ahead;
    size_t len = (size_t)(queued < room ? queued : room);
    if (len > 0 && take_frame(sink, line, len) < 0) {
        http3_failed(stream->quic, HTTP3_INTERNAL_ERROR);
        return;
    }
    if (len > 0)
        http3_ready(sink);
    http3_filled(stream);
}

/* ---- lines ---- */

void http3_offer(struct quic *quic)
{
    for (uint32_t slot = quic->carrier.ready_head; slot != TIMERS_NONE;) {
        struct conn *line = conn_at(quic->shard, slot);
        struct http3_stream *stream = http3_stream_at(quic, slot);
        slot = line->next_dirty;
        if (!stream || line->state == CONN_CLOSING || line->link & (LINK_OFFERED | LINK_END_SENT))
            continue;
        line->link |= LINK_OFFERED;
        http3_ready(stream);
    }
}

void http3_settle(struct quic *quic)
{
    struct shard *shard = quic->shard;
    uint32_t slot = quic->carrier.ready_head;
    quic->carrier.ready_head = TIMERS_NONE;
    while (slot != TIMERS_NONE) {
        struct conn *line = conn_at(shard, slot);
        slot = line->next_dirty;
        line->link &= ~(uint32_t)LINK_DIRTY;
        struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
        if (stream)
            http3_latest_settle(stream);
        stream_settle(shard, line, line->extra && line->extra->moved);
    }
}
