/* http3: a connection as a carrier of requests: its turn, deadlines, drain and end. */
#include <assert.h>
#include <errno.h>

#include "carrier/quic_internal.h"

int http3_failed(struct quic *quic, uint64_t code)
{
    if (quic->error == 0) {
        quic->error = code;
        quic->end_reason = code == HTTP3_INTERNAL_ERROR ? CLOSE_OVERLOADED : CLOSE_HTTP3_ERROR;
        counter_add(&quic->shard->counters.http3_errors[http3_error_index(code)], 1);
    }
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

void quic_submitted(struct quic *quic, int err)
{
    if (err != NGTCP2_ERR_NOMEM)
        return;
    http3_failed(quic, HTTP3_INTERNAL_ERROR);
    carrier_due(quic->shard, &quic->carrier);
}

static struct http3_stream *control_stream(const struct quic *quic)
{
    struct http3_stream *stream = quic->streams;
    while (stream && stream->kind != HTTP3_STREAM_OURS)
        stream = stream->next;
    return stream;
}

int http3_begin(struct quic *quic)
{
    uint8_t preamble[HTTP3_PREAMBLE_BYTES_MAX];
    int64_t id;
    int err = ngtcp2_conn_open_uni_stream(quic->conn, &id, NULL);
    if (err != 0)
        return -ENOBUFS;
    struct http3_stream *stream = http3_stream_open(quic, id, HTTP3_STREAM_OURS);
    if (!stream)
        return -ENOMEM;
    ngtcp2_conn_set_stream_user_data(quic->conn, id, stream);
    size_t len = http3_preamble_write(preamble, (uint64_t)quic->shard->settings->head_bytes_max);
    return http3_queue(stream, preamble, len);
}

/* ---- a turn ---- */

/* RFC 9114 section 5.2: requests from here on are not served. Later ones are, by another server. */
static void say_goodbye(struct quic *quic)
{
    struct http3_stream *control = control_stream(quic);
    uint8_t frame[3 * VARINT_BYTES_MAX], id[VARINT_BYTES_MAX];
    quic->requests_end = (uint64_t)(quic->last_request + 4);
    if (quic->last_request < 0)
        quic->requests_end = 0;
    size_t id_len = varint_write(id, quic->requests_end);
    size_t len = http3_frame_head(frame, HTTP3_GOAWAY, id_len);
    len += varint_write(frame + len, quic->requests_end);
    if (control && http3_queue(control, frame, len) < 0)
        http3_failed(quic, HTTP3_INTERNAL_ERROR);
}

/* With requests open, what is silent for longer than a NAT remembers would be lost; without, it has
 * idle_timeout_ms. */
static void watch_idleness(struct quic *quic)
{
    const struct settings *settings = quic->shard->settings;
    bool idles = quic->carrier.count == 0;
    if (!quic->is_open || idles == quic->idles)
        return;
    quic->idles = idles;
    int64_t half_ms = settings->quic_idle_timeout_ms / 2;
    int64_t alive_ms = settings->heartbeat_ms < half_ms ? settings->heartbeat_ms : half_ms;
    ngtcp2_conn_set_keep_alive_timeout(
        quic->conn, idles ? QUIC_NO_KEEP_ALIVE : (ngtcp2_duration)alive_ms * NGTCP2_MILLISECONDS);
    conn_timer(quic->shard, quic_line(quic), settings->idle_timeout_ms);
}

static void http3_turn(struct shard *shard, struct carrier *carrier)
{
    (void)shard;
    struct quic *quic = (struct quic *)carrier;
    struct conn *line = quic_line(quic);
    if (line->state != CONN_OPEN)
        return;
    quic->is_busy = true;
    http3_offer(quic);
    http3_sessions_prepare(quic);
    quic_write(quic);
    if (!quic->is_dead)
        http3_settle(quic);
    if (!quic->is_dead)
        http3_one_ways_free(quic);
    quic->is_busy = false;
    if (quic->is_dead) {
        quic_free(quic);
        return;
    }
    if (quic->is_open && !quic->is_trimmed)
        quic_trim(quic);
    if (!quic_account(quic))
        return;
    if (quic->drains && carrier->count == 0 && !http3_sessions_end(quic))
        quic_end_http3(quic, HTTP3_NO_ERROR, CLOSE_GOING_AWAY);
    else
        watch_idleness(quic);
}

/* ---- a request's end ---- */

static void http3_reset(struct shard *shard, struct conn *line, enum close_reason reason)
{
    struct quic *quic = (struct quic *)stream_carrier(shard, line);
    struct http3_stream *stream = http3_stream_at(quic, conn_slot(shard, line));
    assert(stream && "a line that is not forgotten has a stream");
    bool sent = line->link & LINK_END_SENT, read = line->link & LINK_INPUT_ENDED;
    bool is_session = stream->session && stream->session->is_open;
    if (is_session)
        http3_farewell(shard, line, close_reason_code(reason),
                       span_from(close_reason_name(reason)));
    stream->slot = TIMERS_NONE;
    if (is_session)
        http3_session_over(stream, reason, sent);
    else if (stream->is_raw)
        http3_tunnel_close(stream, reason, sent, read);
    else if (!sent)
        http3_stream_reset(stream, reason == CLOSE_OVERLOADED ? HTTP3_INTERNAL_ERROR
                                                              : HTTP3_REQUEST_CANCELLED);
    else if (!read)
        quic_submitted(quic, quic_shutdown_read(quic->conn, stream->id, HTTP3_NO_ERROR));
    http3_tunnels_end(quic, stream->id);
    carrier_due(shard, &quic->carrier);
}

const struct carrier_ops http3_ops = {
    .head = http3_head,
    .turn = http3_turn,
    .reset = http3_reset,
    .read_on = http3_read_on,
    .wish = http3_wish,
    .farewell = http3_farewell,
};

/* ---- the port, as a carrier of connections ---- */

/* Nothing is ever sent on the line of a connection. */
static void port_turn(struct shard *shard, struct carrier *carrier)
{
    (void)shard, (void)carrier;
}

static void port_reset(struct shard *shard, struct conn *line, enum close_reason reason)
{
    (void)shard, (void)line, (void)reason;
}

const struct carrier_ops quic_port_ops = {
    .turn = port_turn,
    .reset = port_reset,
};

/* ---- the transport of a connection ---- */

/* With a successor no connect is refused: a handshake goes on, and is followed by the goodbye. */
static void quic_drain(struct shard *shard, struct conn *line)
{
    struct quic *quic = quic_of(shard, line);
    if (quic->drains || (!quic->is_open && shard_is_kept(shard, KEPT_DATAGRAMS)))
        return;
    quic->drains = true;
    say_goodbye(quic);
    carrier_due(shard, &quic->carrier);
    for (uint32_t slot = quic->carrier.streams; slot != TIMERS_NONE;) {
        struct conn *stream = conn_at(shard, slot);
        slot = stream_link(shard, stream)->next;
        if (stream->state != CONN_OPEN)
            continue;
        if (conn_transport(shard, stream)->drain)
            conn_transport(shard, stream)->drain(shard, stream);
        else
            conn_end(shard, stream, END_SENT, CLOSE_GOING_AWAY);
    }
}

static void quic_timer(struct shard *shard, struct conn *line)
{
    struct quic *quic = quic_of(shard, line);
    if (quic->carrier.count > 0)
        conn_timer(shard, line, shard->settings->idle_timeout_ms);
    else
        quic_end_http3(quic, HTTP3_NO_ERROR,
                       quic->last_request < 0 ? CLOSE_HEAD_TIMEOUT : CLOSE_IDLE);
}

/* Whoever is ended from outside, for a bound, is told, unless the library is on the stack: then
 * what it sends next is answered by a stateless reset. */
static void quic_closed(struct shard *shard, struct conn *line)
{
    struct quic *quic = quic_of(shard, line);
    shard->live--;
    counter_set(&shard->counters.connections, shard->live);
    counter_sub(&shard->counters.quic_connections, 1);
    if (!quic)
        return;
    if (!quic->has_ended && !quic->is_busy)
        quic_say_end(quic, shard->draining ? HTTP3_NO_ERROR : HTTP3_EXCESSIVE_LOAD);
    carrier_end_streams(shard, &quic->carrier);
    carrier_done(shard, &quic->carrier);
    budget_clear(&shard->budgets[BUDGET_QUIC], &quic->charge);
    alarms_cancel(&quic->port->alarms, quic->carrier.slot - shard->streams.first);
    quic_cids_clear(quic);
    stream_carries(shard, line, NULL);
    quic->is_dead = true;
    if (!quic->is_busy)
        quic_free(quic);
}

const struct transport quic_transport = {
    .name = "quic",
    .timer = quic_timer,
    .drain = quic_drain,
    .closed = quic_closed,
};
