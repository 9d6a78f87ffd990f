/* http3_stream: the streams of a connection: what kind each is, its input, its end
 * (RFC 9114 section 6). */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "carrier/quic_internal.h"

struct http3_stream *http3_stream_open(struct quic *quic, int64_t id, enum http3_kind kind)
{
    struct http3_stream *stream = quic_take_zeroed(quic, sizeof *stream);
    if (!stream)
        return NULL;
    stream->quic = quic;
    stream->id = id;
    stream->kind = (uint8_t)kind;
    stream->slot = TIMERS_NONE;
    stream->body_left = UINT64_MAX;
    DL_APPEND(quic->streams, stream);
    if (kind == HTTP3_STREAM_REQUEST && id > quic->last_request)
        quic->last_request = id;
    return stream;
}

static void ready_remove(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    struct http3_stream *before = NULL;
    for (struct http3_stream *at = quic->ready; at != stream; at = at->next_ready)
        before = at;
    if (before)
        before->next_ready = stream->next_ready;
    else
        quic->ready = stream->next_ready;
    if (quic->last_ready == stream)
        quic->last_ready = before;
}

void http3_stream_free(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    if (stream->is_ready)
        ready_remove(stream);
    DL_DELETE(quic->streams, stream);
    http3_session_free(stream);
    http3_chunks_free(stream);
    quic_give(quic, stream->head);
    quic_give(quic, stream);
}

struct conn *http3_line(const struct http3_stream *stream)
{
    return stream->slot == TIMERS_NONE ? NULL : conn_at(stream->quic->shard, stream->slot);
}

struct http3_stream *http3_stream_at(const struct quic *quic, uint32_t slot)
{
    struct http3_stream *stream = quic->streams;
    while (stream && stream->slot != slot)
        stream = stream->next;
    return stream;
}

void http3_line_end(struct http3_stream *stream, enum close_reason reason)
{
    struct conn *line = http3_line(stream);
    if (!line)
        return;
    stream->slot = TIMERS_NONE;
    stream_forgotten(stream->quic->shard, line);
    conn_end(stream->quic->shard, line, END_CLOSE, reason);
    if (stream->session)
        http3_session_over(stream, reason, false);
    http3_tunnels_end(stream->quic, stream->id);
}

void http3_stream_reset(struct http3_stream *stream, uint64_t code)
{
    struct quic *quic = stream->quic;
    stream->is_over = true;
    if (code != HTTP3_REQUEST_CANCELLED)
        counter_add(&quic->shard->counters.http3_errors[http3_error_index(code)], 1);
    quic_submitted(quic, quic_shutdown_stream(quic->conn, stream->id, code));
}

/* ---- one-way streams ---- */

static bool is_critical(const struct http3_stream *stream)
{
    return stream->kind == HTTP3_STREAM_CONTROL || stream->kind == HTTP3_STREAM_ENCODER ||
           stream->kind == HTTP3_STREAM_DECODER || stream->kind == HTTP3_STREAM_OURS;
}

/* Of each of these there is one. */
static uint64_t become(struct http3_stream *stream, enum http3_kind kind, bool *has)
{
    if (*has)
        return HTTP3_STREAM_CREATION_ERROR;
    *has = true;
    stream->kind = (uint8_t)kind;
    return 0;
}

static uint64_t begin_control(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    bool has = quic->control != NULL;
    uint64_t code = become(stream, HTTP3_STREAM_CONTROL, &has);
    if (code != 0)
        return code;
    quic->control = quic_take_zeroed(quic, sizeof *quic->control);
    if (!quic->control)
        return HTTP3_INTERNAL_ERROR;
    return 0;
}

/* RFC 9114 section 6.2: of a kind that nobody knows no more is wanted, and it is no error. */
static uint64_t ignore(struct http3_stream *stream, uint64_t code)
{
    stream->kind = HTTP3_STREAM_IGNORED;
    quic_submitted(stream->quic, quic_shutdown_read(stream->quic->conn, stream->id, code));
    return 0;
}

static uint64_t begin_kind(struct http3_stream *stream, uint64_t kind)
{
    struct quic *quic = stream->quic;
    switch (kind) {
    case HTTP3_KIND_CONTROL:
        return begin_control(stream);
    case HTTP3_KIND_ENCODER:
        return become(stream, HTTP3_STREAM_ENCODER, &quic->has_encoder);
    case HTTP3_KIND_DECODER:
        return become(stream, HTTP3_STREAM_DECODER, &quic->has_decoder);
    case HTTP3_KIND_PUSH:
        return HTTP3_STREAM_CREATION_ERROR; /* a client does not push */
    case HTTP3_KIND_WEBTRANSPORT:
        stream->kind = HTTP3_STREAM_ONE_WAY;
        return 0;
    default:
        return ignore(stream, HTTP3_STREAM_CREATION_ERROR);
    }
}

/* ---- requests ---- */

/* What looks like a frame of that type is a stream of WebTransport, if it is the first thing there:
 * its length is a session, and all behind it has no frames. */
static uint64_t tunnel_input(struct http3_stream *stream, const struct http3_piece *piece,
                             struct span rest, bool ended)
{
    if (stream->has_begun)
        return HTTP3_FRAME_ERROR;
    uint64_t code = http3_tunnel_begin(stream, piece->length);
    if (code == 0 && !stream->quic->is_dead)
        http3_tunnel_input(stream, span_of(piece->payload.ptr, piece->payload.len + rest.len),
                           ended);
    return code;
}

static uint64_t request_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    struct http3_piece piece;
    if (stream->is_raw) {
        http3_tunnel_input(stream, bytes, ended);
        return 0;
    }
    while (!stream->is_over && !stream->quic->is_dead &&
           http3_frames_take(&stream->frames, &bytes, &piece)) {
        if (piece.begins && piece.type == HTTP3_WEBTRANSPORT_STREAM)
            return tunnel_input(stream, &piece, bytes, ended);
        stream->input_ended = ended && bytes.len == 0 && piece.ends;
        stream->has_begun = true;
        uint64_t code = http3_piece(stream, &piece);
        if (code != 0)
            return code;
    }
    if (!ended || stream->is_over || stream->quic->is_dead)
        return 0;
    stream->input_ended = true;
    return http3_frames_may_end(&stream->frames) ? http3_request_ended(stream) : HTTP3_FRAME_ERROR;
}

uint64_t http3_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    struct quic *quic = stream->quic;
    uint64_t kind, code = 0;
    if (stream->kind == HTTP3_STREAM_UNKNOWN && http3_number_take(&stream->number, &bytes, &kind))
        code = begin_kind(stream, kind);
    if (code != 0)
        return code;
    switch ((enum http3_kind)stream->kind) {
    case HTTP3_STREAM_CONTROL:
        code = http3_control_input(quic->control, bytes);
        break;
    case HTTP3_STREAM_ENCODER:
        code = http3_encoder_input(bytes);
        break;
    case HTTP3_STREAM_DECODER:
        code = http3_decoder_input(&quic->decoder_input, bytes);
        break;
    case HTTP3_STREAM_REQUEST:
        return request_input(stream, bytes, ended);
    case HTTP3_STREAM_ONE_WAY:
        stream->input_ended = ended;
        return http3_one_way_input(stream, bytes, ended);
    case HTTP3_STREAM_UNKNOWN:
    case HTTP3_STREAM_IGNORED:
    case HTTP3_STREAM_OURS:
    case HTTP3_STREAM_OUT:
        break;
    }
    return code == 0 && ended && is_critical(stream) ? HTTP3_CLOSED_CRITICAL_STREAM : code;
}

uint64_t http3_was_reset(struct http3_stream *stream, bool its_side)
{
    struct quic *quic = stream->quic;
    if (is_critical(stream))
        return HTTP3_CLOSED_CRITICAL_STREAM;
    if (stream->kind == HTTP3_STREAM_ONE_WAY)
        http3_line_end(stream, CLOSE_PEER_RESET);
    if (stream->kind == HTTP3_STREAM_OUT && stream->owner)
        http3_line_end(stream->owner, CLOSE_PEER_RESET); /* it takes no messages */
    if (stream->kind != HTTP3_STREAM_REQUEST)
        return 0;
    int64_t per_s = quic->shard->settings->http2_resets_per_s;
    if (per_s > 0 &&
        !http2_bucket_take(&quic->resets, per_s, per_s * HTTP2_RESETS_BURST_S, quic->shard->now_ns))
        return HTTP3_EXCESSIVE_LOAD;
    http3_line_end(stream, CLOSE_PEER_RESET);
    stream->is_over = true;
    if (its_side)
        quic_submitted(quic, quic_shutdown_write(quic->conn, stream->id, HTTP3_REQUEST_CANCELLED));
    else
        quic_submitted(quic, quic_shutdown_read(quic->conn, stream->id, HTTP3_REQUEST_CANCELLED));
    return 0;
}
