/* http3_tunnel: streams that a client opens in a session of WebTransport
 * (draft-ietf-webtrans-http3-02 sections 4.1 and 4.2): 0x41, or 0x54 to us alone, the session's
 * stream, and then bytes that are in no frames. Each has a line, and the session's transport says
 * what it is. */
#include <utlist.h>

#include "carrier/quic_internal.h"
#include "http/body.h"

static struct conn *owner_of(const struct quic *quic, int64_t session)
{
    const struct http3_stream *found = http3_session_find(quic, session);
    struct conn *owner = found ? http3_line(found) : NULL;
    return owner && owner->state == CONN_OPEN ? owner : NULL;
}

/* Returns false when there is no place, and it is reset. */
static bool line_make(struct http3_stream *stream, int64_t session)
{
    if (!http3_line_open(stream))
        return false;
    stream->is_raw = true;
    stream->of_session = session;
    return true;
}

/* RFC 9114's own errors apply to a number that is no request's. */
uint64_t http3_tunnel_begin(struct http3_stream *stream, uint64_t session)
{
    struct shard *shard = stream->quic->shard;
    if (session % 4 != 0)
        return HTTP3_ID_ERROR;
    struct conn *owner = owner_of(stream->quic, (int64_t)session);
    if (!owner || !conn_transport(shard, owner)->opened)
        http3_stream_reset(stream, HTTP3_WEBTRANSPORT_REJECTED);
    else if (line_make(stream, (int64_t)session))
        conn_transport(shard, owner)->opened(shard, owner, http3_line(stream));
    return 0;
}

static void one_way_refuse(struct http3_stream *stream)
{
    stream->kind = HTTP3_STREAM_IGNORED;
    counter_add(
        &stream->quic->shard->counters.http3_errors[http3_error_index(HTTP3_WEBTRANSPORT_REJECTED)],
        1);
    quic_submitted(stream->quic,
                   quic_shutdown_read(stream->quic->conn, stream->id, HTTP3_WEBTRANSPORT_REJECTED));
    http3_one_way_done(stream);
}

static uint64_t one_way_begin(struct http3_stream *stream, uint64_t session)
{
    struct shard *shard = stream->quic->shard;
    if (session % 4 != 0)
        return HTTP3_ID_ERROR;
    struct conn *owner = owner_of(stream->quic, (int64_t)session);
    if (!owner || !conn_transport(shard, owner)->opened_one_way) {
        one_way_refuse(stream);
    } else if (line_make(stream, (int64_t)session)) {
        http3_line(stream)->link |= LINK_END_SENT;
        conn_transport(shard, owner)->opened_one_way(shard, owner, http3_line(stream));
    }
    return 0;
}

uint64_t http3_one_way_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    uint64_t session, code = 0;
    if (!stream->is_raw && http3_number_take(&stream->number, &bytes, &session))
        code = one_way_begin(stream, session);
    if (code == 0 && stream->is_raw)
        http3_tunnel_input(stream, bytes, ended);
    return code;
}

/* They lie in the packet, or in what the library has kept of the stream, and it never looks at them
 * again: so a frame is unmasked there. */
void http3_tunnel_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    struct shard *shard = stream->quic->shard;
    struct conn *line = http3_line(stream);
    if (line && bytes.len > 0)
        http_stream_input(shard, line, (char *)(uintptr_t)bytes.ptr, bytes.len);
    line = stream->quic->is_dead ? NULL : http3_line(stream);
    if (line && ended)
        http_stream_ended(shard, line);
}

/* A refusal is a message, as on a data channel. */
void http3_tunnel_head(struct http3_stream *stream, const struct http_response_head *head)
{
    char frame[WS_FRAME_HEAD_MAX];
    const struct ws_frame_head text = {
        .length = head->content_length,
        .opcode = WS_TEXT,
        .fin = true,
    };
    stream->has_messages = head->status >= 200 && head->status < 300;
    if (head->status >= 300 && head->framing == HTTP_FRAMING_LENGTH &&
        http3_queue(stream, frame, ws_frame_head_write(frame, &text)) < 0)
        http3_failed(stream->quic, HTTP3_INTERNAL_ERROR);
}

/* ---- the end ---- */

void http3_tunnel_close(struct http3_stream *stream, enum close_reason reason, bool sent, bool read)
{
    ngtcp2_conn *conn = stream->quic->conn;
    uint64_t code = webtransport_error(close_reason_code(reason));
    if (!sent) {
        stream->is_over = true;
        quic_submitted(stream->quic, quic_shutdown_stream(conn, stream->id, code));
    } else if (!read) {
        quic_submitted(stream->quic, quic_shutdown_read(conn, stream->id, code));
        if (stream->kind == HTTP3_STREAM_ONE_WAY)
            http3_one_way_done(stream);
    }
}

/* Those that are ending by themselves have their last words out. */
void http3_tunnels_end(struct quic *quic, int64_t session)
{
    struct http3_stream *stream, *next;
    if (!quic->has_sessions)
        return;
    DL_FOREACH_SAFE(quic->streams, stream, next)
    {
        const struct conn *line = http3_line(stream);
        if (!stream->is_raw || stream->of_session != session || !line || line->state != CONN_OPEN)
            continue;
        http3_line_end(stream, CLOSE_CARRIER);
        if (stream->kind != HTTP3_STREAM_ONE_WAY) {
            http3_stream_reset(stream, HTTP3_WEBTRANSPORT_GONE);
            continue;
        }
        quic_submitted(quic, quic_shutdown_read(quic->conn, stream->id, HTTP3_WEBTRANSPORT_GONE));
        http3_one_way_done(stream);
    }
}

/* ngtcp2 0.12 never closes a client's one-way stream, however it ends: the client may open another
 * one now, and ours is freed when its line has ended. What the library keeps of it is charged until
 * the connection ends. */
void http3_one_way_done(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    if (stream->is_done)
        return;
    stream->is_done = true;
    quic->has_done = true;
    ngtcp2_conn_extend_max_streams_uni(quic->conn, 1);
    carrier_due(quic->shard, &quic->carrier);
}

void http3_one_ways_free(struct quic *quic)
{
    struct http3_stream *stream, *next;
    bool some_stay = false;
    if (!quic->has_done)
        return;
    DL_FOREACH_SAFE(quic->streams, stream, next)
    {
        if (!stream->is_done)
            continue;
        some_stay |= http3_line(stream) != NULL;
        if (http3_line(stream))
            continue;
        ngtcp2_conn_set_stream_user_data(quic->conn, stream->id, NULL);
        http3_stream_free(stream);
    }
    quic->has_done = some_stay;
}
