/* http3_latest: messages as datagrams of WebTransport (RFC 9221, RFC 9297), of which the latest
 * counts.
 *
 *   the line's frames ─► number, sequence, message ─► DATAGRAM
 *                    └─► does not fit: a one-way stream of its own, one at a time
 *
 * What cannot leave in its turn waits in the line, and of that only the last message is kept. */
#include <assert.h>

#include "carrier/quic_internal.h"
#include "wire/utf8.h"
#include "wire/webtransport.h"

enum {
    /* Of a packet besides its destination's ID: flags, the longest number, tag; and of a frame. */
    PACKET_OVERHEAD = 1 + 4 + 16,
    FRAME_OVERHEAD = 1 + 2,
};

/* ---- out ---- */

static size_t head_write(const struct http3_stream *stream, uint8_t *to, bool datagram)
{
    size_t len = datagram ? varint_write(to, (uint64_t)http3_session_of(stream) / 4) : 0;
    return len +
           webtransport_number_write(to + len, stream->latest->number, stream->latest->sequence);
}

/* The library takes what does not fit for what has to wait: for ever. */
static bool fits(const struct http3_stream *stream, const struct line_frame *frame)
{
    uint8_t head[WEBTRANSPORT_HEAD_MAX];
    ngtcp2_conn *conn = stream->quic->conn;
    size_t len = head_write(stream, head, true) + frame->payload.len + FRAME_OVERHEAD;
    size_t packet = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn);
    size_t other = PACKET_OVERHEAD + ngtcp2_conn_get_dcid(conn)->datalen;
    uint64_t peer = ngtcp2_conn_get_remote_transport_params(conn)->max_datagram_frame_size;
    return len + other <= packet && len <= peer;
}

static void consume(struct http3_stream *stream, const struct line_frame *frame)
{
    conn_consume(stream->quic->shard, http3_line(stream), frame->size);
    http3_filled(stream);
}

/* All of what waits but the last message. */
static void supersede(struct http3_stream *stream)
{
    struct conn *line = http3_line(stream);
    struct line_frame frame;
    while (line_frame_first(line, &frame) && line_frame_is_message(&frame) &&
           line_frame_has_later(line, &frame)) {
        counter_add(&stream->quic->shard->counters.webtransport_superseded, 1);
        conn_consume(stream->quic->shard, line, frame.size);
    }
}

/* On a stream both ways its close frame goes, too; of a session a capsule says the same. */
static void send_others(struct http3_stream *stream)
{
    struct line_frame frame;
    while (line_frame_first(http3_line(stream), &frame) && !line_frame_is_message(&frame)) {
        if (!stream->session &&
            http3_queue(stream, frame.payload.ptr - (frame.size - frame.payload.len), frame.size) <
                0)
            http3_failed(stream->quic, HTTP3_INTERNAL_ERROR);
        consume(stream, &frame);
    }
}

static void widen(struct http3_stream *stream, const struct line_frame *frame)
{
    uint8_t head[WEBTRANSPORT_HEAD_MAX];
    struct http3_stream *wide = http3_one_way_open(stream);
    if (!wide)
        return;
    if (http3_queue(wide, head, head_write(stream, head, false)) < 0 ||
        http3_queue(wide, frame->payload.ptr, frame->payload.len) < 0) {
        http3_failed(stream->quic, HTTP3_INTERNAL_ERROR);
        return;
    }
    wide->ends = true;
    stream->latest->wide = wide;
    stream->latest->sequence++;
    counter_add(&stream->quic->shard->counters.webtransport_wide, 1);
    consume(stream, frame);
}

void http3_latest_prepare(struct http3_stream *stream)
{
    struct line_frame frame;
    if (conn_blocked(http3_line(stream)))
        supersede(stream);
    send_others(stream);
    if (!stream->latest->wide && line_frame_first(http3_line(stream), &frame) &&
        !fits(stream, &frame))
        widen(stream, &frame);
}

void http3_latest_settle(struct http3_stream *stream)
{
    if (stream->latest && stream->has_messages)
        supersede(stream);
}

bool http3_latest_next(const struct http3_stream *stream, struct line_frame *ret)
{
    const struct conn *line = stream->latest && stream->has_messages ? http3_line(stream) : NULL;
    return line && line->link & LINK_OFFERED && line_frame_first(line, ret) &&
           line_frame_is_message(ret) && fits(stream, ret);
}

size_t http3_latest_head(const struct http3_stream *stream, uint8_t to[WEBTRANSPORT_HEAD_MAX])
{
    return head_write(stream, to, true);
}

void http3_latest_sent(struct http3_stream *stream, const struct line_frame *frame)
{
    stream->latest->sequence++;
    counter_add(&stream->quic->shard->counters.webtransport_datagrams_sent, 1);
    consume(stream, frame);
}

/* ---- in ---- */

struct http3_stream *http3_latest_find(const struct quic *quic, int64_t session, uint8_t number)
{
    struct http3_stream *stream = quic->streams;
    while (stream && !(stream->latest && stream->latest->number == number &&
                       http3_session_of(stream) == session))
        stream = stream->next;
    return stream;
}

/* A session without datagrams takes those with the number 0. */
static struct http3_stream *target_of(const struct quic *quic, const struct webtransport_head *head)
{
    struct http3_stream *found = http3_latest_find(quic, (int64_t)head->session, head->number);
    return found || head->number != 0 ? found : http3_session_find(quic, (int64_t)head->session);
}

/* Returns whether there is somebody for it. */
static bool take(struct quic *quic, const struct webtransport_head *head, struct span message)
{
    struct http3_stream *stream = target_of(quic, head);
    struct conn *line = stream ? http3_line(stream) : NULL;
    if (!line || !stream->has_messages || line->state != CONN_OPEN ||
        line->role & ROLE_CLOSE_SENT || !conn_transport(quic->shard, line)->message)
        return false;
    if (head->sequence < stream->heard)
        return false; /* a later one was there before */
    stream->heard = head->sequence + 1;
    conn_transport(quic->shard, line)->message(quic->shard, line, message, utf8_valid(message));
    return true;
}

uint64_t http3_datagram_input(struct quic *quic, struct span bytes)
{
    struct webtransport_head head;
    struct counters *counters = &quic->shard->counters;
    switch (webtransport_head_take(&bytes, &head)) {
    case WEBTRANSPORT_DATAGRAM_BAD:
        return HTTP3_DATAGRAM_ERROR;
    case WEBTRANSPORT_DATAGRAM_OTHER:
        counter_add(&counters->webtransport_datagrams_dropped, 1);
        return 0;
    case WEBTRANSPORT_DATAGRAM:
        break;
    }
    counter_add(take(quic, &head, bytes) ? &counters->webtransport_datagrams_received
                                         : &counters->webtransport_datagrams_dropped,
                1);
    return 0;
}
