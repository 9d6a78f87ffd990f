/* http3_session: sessions of WebTransport (draft-ietf-webtrans-http3-02): a request that does not
 * end, whose body is capsules.
 *
 *   the line's frames ─► a one-way stream of ours: 0x54, the session, frames …   lazily opened
 *   the line's end ─► the end of that stream ─► acknowledged, and a moment later ─► CLOSE, FIN
 *
 * A client that hears of the close drops what it has not read of the session's streams: so it has
 * time to read their ends, and to close by itself. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "carrier/quic_internal.h"
#include "http/body.h"
#include "wire/webtransport.h"

/* ---- beginning ---- */

int http3_session_begin(struct http3_stream *stream)
{
    stream->session = quic_take_zeroed(stream->quic, sizeof *stream->session);
    if (!stream->session)
        return -ENOMEM;
    stream->quic->has_sessions = true;
    return 0;
}

void http3_session_answered(struct http3_stream *stream)
{
    stream->session->is_open = true;
    stream->has_messages = true;
    counter_add(&stream->quic->shard->counters.webtransports, 1);
}

static void uncount(struct http3_stream *stream)
{
    if (stream->session->is_open)
        counter_sub(&stream->quic->shard->counters.webtransports, 1);
    stream->session->is_open = false;
}

struct http3_stream *http3_session_find(const struct quic *quic, int64_t id)
{
    struct http3_stream *stream = quic->streams;
    while (stream && stream->id != id)
        stream = stream->next;
    return stream && stream->session && stream->session->is_open ? stream : NULL;
}

/* ---- streams of ours ---- */

struct http3_stream *http3_one_way_open(struct http3_stream *owner)
{
    struct quic *quic = owner->quic;
    uint8_t head[2 * VARINT_BYTES_MAX];
    int64_t id;
    if (ngtcp2_conn_open_uni_stream(quic->conn, &id, NULL) != 0)
        return NULL; /* the client has to let more be opened */
    struct http3_stream *stream = http3_stream_open(quic, id, HTTP3_STREAM_OUT);
    if (!stream) {
        http3_failed(quic, HTTP3_INTERNAL_ERROR);
        return NULL;
    }
    ngtcp2_conn_set_stream_user_data(quic->conn, id, stream);
    stream->is_raw = true;
    stream->owner = owner;
    size_t len = varint_write(head, HTTP3_KIND_WEBTRANSPORT);
    len += varint_write(head + len, (uint64_t)http3_session_of(owner));
    if (http3_queue(stream, head, len) < 0)
        http3_failed(quic, HTTP3_INTERNAL_ERROR);
    return stream;
}

/* What a line has more of is taken when there is where to. */
static void prepare(struct http3_stream *stream)
{
    const struct conn *line = http3_line(stream);
    if (!stream->has_messages || !line || !(line->link & LINK_OFFERED))
        return;
    if (stream->latest)
        http3_latest_prepare(stream);
    else if (stream->session && !stream->session->out && conn_queued(line) > 0)
        stream->session->out = http3_one_way_open(stream);
    http3_ready(stream);
}

void http3_sessions_prepare(struct quic *quic)
{
    struct http3_stream *stream, *next;
    if (!quic->has_sessions)
        return;
    DL_FOREACH_SAFE(quic->streams, stream, next)
    {
        if (!stream->had_line)
            return; /* nor has any behind it */
        prepare(stream);
    }
}

/* ---- what comes ---- */

void http3_session_input(struct http3_stream *stream, struct span bytes)
{
    struct conn *line = http3_line(stream);
    if (!line)
        return;
    switch (capsules_input(&stream->session->capsules, bytes)) {
    case CAPSULE_NONE:
        break;
    case CAPSULE_CLOSED:
        stream->session->was_closed = true;
        conn_end(stream->quic->shard, line, END_CLOSE, CLOSE_DONE);
        break;
    case CAPSULE_BAD:
        http3_malformed(stream);
        break;
    }
}

/* ---- the end ---- */

void http3_farewell(struct shard *shard, struct conn *line, uint32_t code, struct span reason)
{
    uint8_t capsule[CAPSULE_MAX], head[2 * VARINT_BYTES_MAX];
    struct quic *quic = (struct quic *)stream_carrier(shard, line);
    const struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
    struct http3_session *session = stream->session;
    if (!session || !session->is_open || session->farewell)
        return;
    size_t len = capsule_close_write(capsule, code, reason);
    size_t head_len = http3_frame_head(head, HTTP3_DATA, len);
    session->farewell = quic_take(quic, head_len + len);
    if (!session->farewell)
        return; /* then it ends without */
    memcpy(session->farewell, head, head_len);
    memcpy(session->farewell + head_len, capsule, len);
    session->farewell_len = (uint32_t)(head_len + len);
}

static bool has_streams(const struct http3_stream *stream)
{
    return stream->session->out || (stream->latest && stream->latest->wide);
}

static void say_farewell(struct http3_stream *stream)
{
    struct http3_session *session = stream->session;
    if (!session->ends || session->waits || has_streams(stream))
        return;
    if (session->farewell && !session->was_closed && !stream->ends)
        (void)http3_queue(stream, session->farewell, session->farewell_len);
    stream->ends = true;
    http3_ready(stream);
    carrier_due(stream->quic->shard, &stream->quic->carrier);
}

void http3_session_ends(struct http3_stream *stream)
{
    stream->session->ends = true;
    stream->session->waits = has_streams(stream);
    if (stream->session->out) {
        stream->session->out->ends = true;
        http3_ready(stream->session->out);
    }
    say_farewell(stream);
}

/* What is under way on it is not waited for. */
static void drop(struct http3_stream **ours, uint64_t code)
{
    struct http3_stream *stream = *ours;
    if (!stream)
        return;
    *ours = NULL;
    stream->owner = NULL;
    stream->is_over = true;
    quic_submitted(stream->quic, quic_shutdown_write(stream->quic->conn, stream->id, code));
}

void http3_session_over(struct http3_stream *stream, enum close_reason reason, bool sent)
{
    struct http3_session *session = stream->session;
    uint64_t code = session->was_closed ? HTTP3_WEBTRANSPORT_GONE
                                        : webtransport_error(close_reason_code(reason));
    uncount(stream);
    session->ends = true;
    session->waits = false;
    if (!sent) {
        drop(&session->out, code);
        if (stream->latest)
            drop(&stream->latest->wide, code);
    }
    say_farewell(stream);
}

bool http3_sessions_end(const struct quic *quic)
{
    const struct http3_stream *stream = quic->streams;
    while (stream && !(stream->session && stream->session->ends && !stream->end_sent))
        stream = stream->next;
    return stream;
}

void http3_session_free(struct http3_stream *stream)
{
    struct http3_stream *owner = stream->owner;
    if (stream->session) {
        uncount(stream);
        if (stream->session->out)
            stream->session->out->owner = NULL;
        quic_give(stream->quic, stream->session->farewell);
        quic_give(stream->quic, stream->session);
    }
    if (stream->latest) {
        if (stream->latest->wide)
            stream->latest->wide->owner = NULL;
        quic_give(stream->quic, stream->latest);
    }
    if (!owner)
        return;
    if (owner->session && owner->session->out == stream)
        owner->session->out = NULL;
    if (owner->latest && owner->latest->wide == stream)
        owner->latest->wide = NULL;
    if (owner->session)
        say_farewell(owner);
}

/* ---- what a transport asks for ---- */

static bool takes_datagrams(struct quic *quic)
{
    const ngtcp2_transport_params *params = ngtcp2_conn_get_remote_transport_params(quic->conn);
    bool says_no =
        quic->control && quic->control->has_settings && !quic->control->settings.datagrams;
    return params && params->max_datagram_frame_size > 0 && !says_no;
}

int http3_wish(struct shard *shard, struct conn *line, const struct carrier_wish *wish)
{
    struct quic *quic = (struct quic *)stream_carrier(shard, line);
    struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
    if (stream->session)
        stream->session->protocol = wish->protocol;
    if (wish->number < 0)
        return stream->session ? 0 : -EOPNOTSUPP;
    if ((!stream->session && !stream->is_raw) || !takes_datagrams(quic))
        return -EOPNOTSUPP;
    if (http3_latest_find(quic, http3_session_of(stream), (uint8_t)wish->number))
        return -EEXIST;
    stream->latest = quic_take_zeroed(quic, sizeof *stream->latest);
    if (!stream->latest)
        return -ENOMEM;
    stream->latest->number = (uint8_t)wish->number;
    return 0;
}
