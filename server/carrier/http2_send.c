/* http2_send: from what streams have queued to frames in the line of the socket.
 *
 *   ready streams ─► offer: an item in the library ─► pump: as far as windows and the socket go ─►
 *                    settle: who has sent all goes on, who has not waits
 *
 * A stream has an item in the library only while it has something to send: between messages it
 * costs nothing there. */
#include <assert.h>
#include <string.h>

#include "carrier/http2_internal.h"

enum {
    /* What is taken from streams ahead of the socket. There no policy reaches it any more. */
    AHEAD_MAX = 128 * 1024,
    /* A longer run that fills its frame is not copied: two entries of a gathered send cost less. */
    COPY_MAX = 1024,
    FRAME_HEAD = 9,
};

/* ---- offering ---- */

static ssize_t read_data(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user_data)
{
    (void)session, (void)buf, (void)source;
    struct http2 *http2 = user_data;
    struct conn *stream = http2_stream(http2, stream_id);
    if (!stream || http2->is_dead)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (conn_queued(http2_socket(http2)) >= AHEAD_MAX) {
        http2->carrier.holds_back = true;
        return NGHTTP2_ERR_PAUSE;
    }
    uint64_t queued = conn_queued(stream);
    *data_flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (queued > length)
        return (ssize_t)length;
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    stream->link &= ~(uint32_t)LINK_OFFERED;
    if (stream->state == CONN_FINISHING)
        stream->link |= LINK_END_SENT;
    else
        *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)queued;
}

static void offer(struct http2 *http2, struct conn *stream)
{
    const nghttp2_data_provider provider = {.read_callback = read_data};
    if (stream->state == CONN_CLOSING || stream->link & (LINK_OFFERED | LINK_END_SENT))
        return;
    int err = nghttp2_submit_data(http2->session, NGHTTP2_FLAG_END_STREAM,
                                  stream_link(http2->shard, stream)->id, &provider);
    if (err != 0)
        conn_end(http2->shard, stream, END_CLOSE, CLOSE_OVERLOADED);
    else
        stream->link |= LINK_OFFERED;
}

void http2_offer(struct http2 *http2)
{
    uint32_t slot = http2->carrier.ready_head;
    while (slot != TIMERS_NONE) {
        struct conn *stream = conn_at(http2->shard, slot);
        slot = stream->next_dirty;
        offer(http2, stream);
    }
}

/* ---- pumping ---- */

static void send_copied(struct http2 *http2, struct conn *stream, const uint8_t *head,
                        size_t length)
{
    struct shard *shard = http2->shard;
    char *at = blocks_reserve(&shard->blocks, FRAME_HEAD + length);
    if (!at) {
        conn_send(shard, http2_socket(http2), (struct frame){0}, SEND_ANSWER, 0);
        return;
    }
    memcpy(at, head, FRAME_HEAD);
    size_t done = 0;
    while (done < length) {
        size_t part = stream->out_len < length - done ? stream->out_len : length - done;
        memcpy(at + FRAME_HEAD + done, stream->out_block->bytes + stream->out_at, part);
        conn_consume(shard, stream, (uint32_t)part);
        done += part;
    }
    conn_send(shard, http2_socket(http2), blocks_commit(&shard->blocks, FRAME_HEAD + length),
              SEND_ANSWER, 0);
}

/* The bytes are taken off first: what makes room for them may close the stream. */
static void send_by_reference(struct http2 *http2, struct conn *stream, const uint8_t *head,
                              size_t length)
{
    struct shard *shard = http2->shard;
    struct conn *socket = http2_socket(http2);
    const struct frame run = {stream->out_block, stream->out_at, (uint32_t)length};
    block_ref(run.block);
    conn_consume(shard, stream, run.len);
    conn_send(shard, socket, blocks_copy(&shard->blocks, head, FRAME_HEAD), SEND_ANSWER, 0);
    conn_send(shard, socket, run, SEND_ANSWER, 0);
    block_unref(&shard->blocks, run.block);
}

int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                    size_t length, nghttp2_data_source *source, void *user_data)
{
    (void)session, (void)source;
    struct http2 *http2 = user_data;
    struct conn *stream = http2_stream(http2, frame->hd.stream_id);
    assert(stream && "the library sends for a stream that is gone");
    if (stream->extra)
        stream->extra->moved = true;
    if (!(stream->link & LINK_DIRTY))
        stream_ready(http2->shard, stream);
    if (length > COPY_MAX && stream->out_len >= length)
        send_by_reference(http2, stream, head, length);
    else
        send_copied(http2, stream, head, length);
    return http2->is_dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int http2_pump(struct http2 *http2)
{
    struct shard *shard = http2->shard;
    ssize_t len = 0;
    struct conn *socket = http2_socket(http2);
    http2->carrier.holds_back = conn_blocked(socket);
    http2->is_busy = true;
    while (!http2->carrier.holds_back && !http2->is_dead) {
        const uint8_t *bytes;
        len = nghttp2_session_mem_send(http2->session, &bytes);
        if (len <= 0)
            break;
        conn_send(shard, socket, blocks_copy(&shard->blocks, bytes, (size_t)len), SEND_ANSWER, 0);
    }
    http2->is_busy = false;
    http2_memory_spoil();
    return len < 0 ? (int)len : 0;
}

/* ---- settling ---- */

void http2_settle(struct http2 *http2)
{
    struct shard *shard = http2->shard;
    uint32_t slot = http2->carrier.ready_head;
    http2->carrier.ready_head = TIMERS_NONE;
    while (slot != TIMERS_NONE) {
        struct conn *stream = conn_at(shard, slot);
        slot = stream->next_dirty;
        stream->link &= ~(uint32_t)LINK_DIRTY;
        stream_settle(shard, stream, stream->extra && stream->extra->moved);
    }
}
