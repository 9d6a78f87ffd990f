/* http3_tunnel: streams that a client opens in a session of WebTransport
 * (draft-ietf-webtrans-http3-02 section 4.2): the number 0x41, the session's stream, and then bytes
 * that are in no frames. Each has a line, and the session's transport says what it is. */
#include <utlist.h>

#include "carrier/quic_internal.h"
#include "http/body.h"

static struct http3_stream *session_find(const struct quic *quic, int64_t id)
{
    struct http3_stream *stream = quic->streams;
    while (stream && stream->id != id)
        stream = stream->next;
    return stream;
}

/* RFC 9114's own errors apply to a number that is no request's. */
uint64_t http3_tunnel_begin(struct http3_stream *stream, uint64_t session)
{
    struct quic *quic = stream->quic;
    struct shard *shard = quic->shard;
    if (session % 4 != 0)
        return HTTP3_ID_ERROR;
    struct http3_stream *found = session_find(quic, (int64_t)session);
    const struct conn *owner = found ? http3_line(found) : NULL;
    bool is_open = owner && owner->state == CONN_OPEN && conn_transport(shard, owner)->opened;
    if (!is_open) {
        http3_stream_reset(stream, HTTP3_WEBTRANSPORT_REJECTED);
        return 0;
    }
    struct conn *line = http3_line_open(stream);
    if (!line)
        return 0;
    stream->is_raw = true;
    stream->session = (int64_t)session;
    quic->has_tunnels = true;
    conn_transport(shard, owner)->opened(shard, line);
    return 0;
}

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

/* Those that are ending by themselves have their last words out. */
void http3_tunnels_end(struct quic *quic, int64_t session)
{
    struct http3_stream *stream, *next;
    if (!quic->has_tunnels)
        return;
    DL_FOREACH_SAFE(quic->streams, stream, next)
    {
        const struct conn *line = http3_line(stream);
        if (!stream->is_raw || stream->session != session || !line || line->state != CONN_OPEN)
            continue;
        http3_line_end(stream, CLOSE_CARRIER);
        http3_stream_reset(stream, HTTP3_WEBTRANSPORT_GONE);
    }
}
