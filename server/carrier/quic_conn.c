/* quic_conn: a connection: begins, reads, writes, ends. The library does not keep what it sends,
 * and may not be called by what it calls: what has to be sent is sent in the carrier's turn. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "carrier/quic_internal.h"
#include "conn/check.h"
#include "conn/client.h"
#include "conn/log.h"

enum {
    PATH_BYTES_MAX = 1452,  /* of an Ethernet's 1,500, behind the heads of IPv6 and UDP */
    PACKETS_PER_WRITE = 64, /* and what pacing allows; the next turn goes on */
    VECTORS = 8,
    CIDS_MAX = 4, /* of a client's */
};

/* ---- memory ---- */

bool quic_account(struct quic *quic)
{
    struct shard *shard = quic->shard;
    struct conn *line = quic_line(quic);
    uint32_t generation = line->generation;
    budget_set(&shard->budgets[BUDGET_QUIC], &quic->charge, quic->carrier.slot, quic->bytes,
               shard->now_ns);
    budgets_relieve(shard, BUDGET_QUIC);
    return line->generation == generation && line->state == CONN_OPEN;
}

/* ---- beginning ---- */

static ngtcp2_tstamp now(const struct quic *quic)
{
    return (ngtcp2_tstamp)quic->shard->now_ns;
}

/* The port of our end is the same for all, and left out. */
ngtcp2_path quic_path(const struct ring_packet *packet, struct sockaddr_in6 *local)
{
    *local = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = packet->local};
    return (ngtcp2_path){
        .local = {(struct sockaddr *)local, sizeof *local},
        .remote = {(struct sockaddr *)(uintptr_t)&packet->peer, sizeof packet->peer},
    };
}

static void fill_settings(const struct quic *quic, ngtcp2_settings *settings,
                          const struct quic_first *first)
{
    const ngtcp2_vec token = quic_head_token(first->head);
    ngtcp2_settings_default(settings);
    settings->initial_ts = now(quic);
    settings->handshake_timeout = QUIC_HANDSHAKE_NS;
    settings->max_tx_udp_payload_size = PATH_BYTES_MAX;
    if (first->original)
        quic_settings_token(settings, token.base, token.len);
}

/* Returns false when no token could be made. */
static bool fill_params(const struct quic *quic, ngtcp2_transport_params *params,
                        const struct quic_first *first, const ngtcp2_cid *cid)
{
    const struct quic_library *library = quic->shard->server->quic;
    ngtcp2_transport_params_default(params);
    quic_params_original(params, first->original ? first->original : &first->head->dcid);
    params->retry_scid_present = first->original != NULL;
    if (first->original)
        params->retry_scid = first->head->dcid;
    params->initial_max_stream_data_bidi_remote = HTTP3_WINDOW;
    params->initial_max_stream_data_uni = HTTP3_WINDOW;
    params->initial_max_data = QUIC_WINDOW;
    params->initial_max_streams_bidi = HTTP3_STREAMS_MAX;
    params->initial_max_streams_uni = HTTP3_UNI_MAX;
    params->max_idle_timeout =
        (ngtcp2_duration)quic->shard->settings->quic_idle_timeout_ms * NGTCP2_MILLISECONDS;
    params->max_udp_payload_size = DATAGRAM_ROOM;
    params->max_datagram_frame_size = DATAGRAM_BYTES;
    params->active_connection_id_limit = CIDS_MAX;
    params->stateless_reset_token_present = 1;
    return ngtcp2_crypto_generate_stateless_reset_token(params->stateless_reset_token,
                                                        library->reset_secret,
                                                        sizeof library->reset_secret, cid) == 0;
}

/* Without memory the library leaves a pointer to what it has freed. */
static int make(struct quic *quic, const struct quic_first *first)
{
    struct sockaddr_in6 local;
    ngtcp2_conn *conn;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid cid;
    const ngtcp2_path path = quic_path(first->packet, &local);
    quic_cid_draw(quic->shard, &cid, QUIC_CID_BYTES);
    fill_settings(quic, &settings, first);
    if (!fill_params(quic, &params, first, &cid) ||
        ngtcp2_conn_server_new(&conn, &first->head->scid, &cid, &path, first->head->version,
                               &quic_callbacks, &settings, &params, &quic->memory, quic) != 0)
        return -ENOMEM;
    quic->conn = conn;
    int err = quic_tls_begin(quic);
    if (err == 0)
        err = quic_cid_add(quic, &cid);
    return err < 0 ? err : quic_cid_add(quic, &first->head->dcid);
}

static struct quic *attach(struct quic_port *port, struct conn *line)
{
    struct shard *shard = port->shard;
    struct quic *quic = quic_make(port);
    if (!quic)
        return NULL;
    quic->shard = shard;
    quic->last_request = -1;
    quic->end_reason = CLOSE_DONE;
    carrier_init(&quic->carrier, &http3_ops, conn_slot(shard, line));
    stream_carries(shard, line, &quic->carrier);
    return quic;
}

struct quic *quic_begin(struct quic_port *port, const struct quic_first *first)
{
    struct shard *shard = port->shard;
    struct conn *line = stream_open(shard, &port->carrier, 1);
    if (!line)
        return NULL;
    /* Nothing is sent on the line itself: what ends it ends it at once. */
    line->link |= LINK_END_SENT | LINK_INPUT_ENDED;
    line->transport = TRANSPORT_QUIC;
    shard->live++;
    counter_add(&shard->counters.accepted, 1);
    counter_add(&shard->counters.quic_connections, 1);
    counter_set(&shard->counters.connections, shard->live);
    conn_timer(shard, line, shard->settings->head_timeout_ms);
    struct quic *quic = attach(port, line);
    if (!quic || make(quic, first) < 0) {
        if (quic)
            quic->has_ended = true;
        conn_end(shard, line, END_CLOSE, CLOSE_OVERLOADED);
        return NULL;
    }
    if (shard->server->log)
        log_client(shard, line, &first->packet->peer.sin6_addr);
    if (shard->clients && !client_named(shard, line, &first->packet->peer.sin6_addr))
        return NULL;
    return quic;
}

void quic_free(struct quic *quic)
{
    quic_tls_end(quic);
    while (quic->streams)
        http3_stream_free(quic->streams);
    if (quic->conn)
        ngtcp2_conn_del(quic->conn);
    quic_give(quic, quic->control);
    quic_unmake(quic);
}

/* ---- ending ---- */

static void say_end(struct quic *quic, const quic_close_error *error)
{
    ngtcp2_path_storage path;
    ngtcp2_pkt_info about;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize len = ngtcp2_conn_write_connection_close(quic->conn, &path.path, &about,
                                                          datagram_room(quic->shard, DATAGRAM_QUIC),
                                                          DATAGRAM_BYTES, error, now(quic));
    if (len <= 0)
        return;
    struct sockaddr_in6 peer, local;
    memcpy(&peer, path.path.remote.addr, sizeof peer);
    memcpy(&local, path.path.local.addr, sizeof local);
    datagram_send(quic->shard, DATAGRAM_QUIC, quic->carrier.slot, (size_t)len, &peer,
                  &local.sin6_addr, about.ecn);
}

void quic_say_end(struct quic *quic, uint64_t code)
{
    quic_close_error error;
    if (!quic->conn)
        return;
    quic_error_default(&error);
    quic_error_application(&error, code);
    say_end(quic, &error);
}

void quic_end(struct quic *quic, const quic_close_error *error, enum close_reason reason)
{
    say_end(quic, error);
    quic->has_ended = true;
    conn_end(quic->shard, quic_line(quic), END_CLOSE, reason);
}

void quic_end_http3(struct quic *quic, uint64_t code, enum close_reason reason)
{
    quic_close_error error;
    quic_error_default(&error);
    quic_error_application(&error, code);
    quic_end(quic, &error, reason);
}

static void end_silently(struct quic *quic, enum close_reason reason)
{
    quic->has_ended = true;
    conn_end(quic->shard, quic_line(quic), END_CLOSE, reason);
}

/* The library may not be called again when it has found no memory. What the client sends next is
 * answered by a stateless reset. */
static void end_by(struct quic *quic, int err)
{
    quic_close_error error;
    if (err == NGTCP2_ERR_NOMEM) {
        end_silently(quic, CLOSE_OVERLOADED);
        return;
    }
    quic_error_default(&error);
    if (quic->error != 0 && quic->is_open) {
        quic_end_http3(quic, quic->error, (enum close_reason)quic->end_reason);
        return;
    }
    /* In the last moment of a handshake the library stops the process at an application's error. */
    if (quic->error != 0) {
        quic_error_transport(&error, NGTCP2_ERR_NOMEM);
        quic_end(quic, &error, (enum close_reason)quic->end_reason);
        return;
    }
    if (err == NGTCP2_ERR_CRYPTO)
        quic_error_alert(&error, ngtcp2_conn_get_tls_alert(quic->conn));
    else
        quic_error_transport(&error, err);
    counter_add(&quic->shard->counters.quic_errors, 1);
    quic_end(quic, &error, err == NGTCP2_ERR_CRYPTO ? CLOSE_TLS : CLOSE_QUIC_ERROR);
}

/* ---- reading ---- */

/* What the library found wrong. Returns false when the client has to prove its address. */
static bool read_failed(struct quic *quic, int err)
{
    switch (err) {
    case NGTCP2_ERR_DRAINING:
        end_silently(quic, CLOSE_DONE);
        return true;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        end_silently(quic, CLOSE_QUIC_ERROR);
        return err != NGTCP2_ERR_RETRY;
    default:
        end_by(quic, err);
        return true;
    }
}

bool quic_read(struct quic *quic, const struct ring_packet *packet)
{
    struct sockaddr_in6 local;
    const ngtcp2_path path = quic_path(packet, &local);
    const ngtcp2_pkt_info about = {.ecn = packet->ecn};
    quic->is_busy = true;
    int err = ngtcp2_conn_read_pkt(quic->conn, &path, &about, packet->iov.iov_base,
                                   (size_t)packet->res, now(quic));
    quic->is_busy = false;
    if (quic->is_dead) {
        quic_free(quic);
        return true;
    }
    if (err != 0)
        return read_failed(quic, err);
    if (quic->is_open)
        quic_tls_end(quic);
    carrier_due(quic->shard, &quic->carrier);
    return true;
}

void quic_alarm(struct quic *quic, int64_t heard_ns)
{
    int64_t expiry_ns = (int64_t)ngtcp2_conn_get_expiry(quic->conn);
    if (expiry_ns > heard_ns) {
        alarms_set(&quic->port->alarms, quic->carrier.slot - quic->shard->streams.first, expiry_ns);
        return;
    }
    int err = ngtcp2_conn_handle_expiry(quic->conn, now(quic));
    if (err == 0)
        carrier_due(quic->shard, &quic->carrier);
    else if (err == NGTCP2_ERR_IDLE_CLOSE)
        end_silently(quic, CLOSE_IDLE);
    else if (err == NGTCP2_ERR_HANDSHAKE_TIMEOUT)
        end_silently(quic, CLOSE_TLS_TIMEOUT);
    else
        end_by(quic, err);
}

/* ---- writing ---- */

/* An alarm that is too early is looked at when it goes off; so most packets move none. */
static void set_alarm(struct quic *quic)
{
    struct alarms *alarms = &quic->port->alarms;
    uint32_t id = quic->carrier.slot - quic->shard->streams.first;
    int64_t expiry_ns = (int64_t)ngtcp2_conn_get_expiry(quic->conn);
    if (expiry_ns < alarms_at_ns(alarms, id))
        alarms_set(alarms, id, expiry_ns);
}

/* What one packet is made of, so far. */
struct packet {
    ngtcp2_path_storage path;
    ngtcp2_pkt_info about;
    uint8_t *room;
};

/* The first of those with something to send goes to the end of the list. */
static struct http3_stream *next_ready(struct quic *quic)
{
    struct http3_stream *stream = quic->ready;
    if (!stream)
        return NULL;
    quic->ready = stream->next_ready;
    if (!quic->ready)
        quic->last_ready = NULL;
    stream->is_ready = false;
    http3_fill(stream->owner ? stream->owner : stream);
    return stream;
}

/* Returns what the library said, likewise. What it does not take stays where it is. */
static ngtcp2_ssize write_datagram(struct quic *quic, struct packet *packet,
                                   struct http3_stream *stream, const struct line_frame *frame)
{
    uint8_t head[WEBTRANSPORT_HEAD_MAX];
    int taken = 0;
    const ngtcp2_vec vectors[] = {
        {head, http3_latest_head(stream, head)},
        {(uint8_t *)(uintptr_t)frame->payload.ptr, frame->payload.len},
    };
    ngtcp2_ssize len = ngtcp2_conn_writev_datagram(
        quic->conn, &packet->path.path, &packet->about, packet->room, DATAGRAM_BYTES, &taken,
        NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, vectors, 2, now(quic));
    if (taken)
        http3_latest_sent(stream, frame);
    return len;
}

/* Returns what the library said: the size of a packet, 0 for none, or an error. */
static ngtcp2_ssize write_stream(struct quic *quic, struct packet *packet,
                                 struct http3_stream *stream)
{
    ngtcp2_vec vectors[VECTORS];
    ngtcp2_ssize taken = -1;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
    size_t count = stream ? http3_unsent(stream, vectors, VECTORS) : 0;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += vectors[i].len;
    bool end = stream && stream->ends && stream->sent + bytes == stream->queued;
    if (end)
        flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    if (stream)
        flags |= NGTCP2_WRITE_STREAM_FLAG_MORE;
    ngtcp2_ssize len = ngtcp2_conn_writev_stream(
        quic->conn, &packet->path.path, &packet->about, packet->room, DATAGRAM_BYTES, &taken, flags,
        stream ? stream->id : -1, vectors, count, now(quic));
    if (stream && taken >= 0)
        http3_took(stream, (size_t)taken, end && (size_t)taken == bytes);
    return len;
}

/* What the library says of a stream, not of the connection. Returns false when it is neither. */
static bool is_of_stream(struct http3_stream *stream, ngtcp2_ssize said)
{
    switch (said) {
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        stream->is_blocked = true;
        return true;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
        stream->is_over = true;
        return true;
    case NGTCP2_ERR_WRITE_MORE:
        return true;
    default:
        return false;
    }
}

/* Fills one packet from one stream after the other. Returns its size, 0, or an error. */
static ngtcp2_ssize write_packet(struct quic *quic, struct packet *packet)
{
    for (;;) {
        struct http3_stream *stream = next_ready(quic);
        struct line_frame frame;
        bool has_bytes =
            stream && (stream->sent < stream->queued || (stream->ends && !stream->end_sent));
        bool has_datagram = stream && !has_bytes && http3_latest_next(stream, &frame);
        if (stream && !has_bytes && !has_datagram)
            continue;
        ngtcp2_ssize said = has_datagram ? write_datagram(quic, packet, stream, &frame)
                                         : write_stream(quic, packet, stream);
        bool goes_on = stream && is_of_stream(stream, said);
        if (stream)
            http3_ready(stream);
        if (!goes_on)
            return said;
    }
}

static void send_packet(struct quic *quic, const struct packet *packet, ngtcp2_ssize len)
{
    struct sockaddr_in6 peer, local;
    memcpy(&peer, packet->path.path.remote.addr, sizeof peer);
    memcpy(&local, packet->path.path.local.addr, sizeof local);
    datagram_send(quic->shard, DATAGRAM_QUIC, quic->carrier.slot, (size_t)len, &peer,
                  &local.sin6_addr, packet->about.ecn);
}

void quic_write(struct quic *quic)
{
    size_t quantum = ngtcp2_conn_get_send_quantum(quic->conn);
    size_t bytes = 0;
    bool full = false;
    for (unsigned i = 0; !full && bytes < quantum; i++) {
        struct packet packet = {.room = datagram_room(quic->shard, DATAGRAM_QUIC)};
        ngtcp2_path_storage_zero(&packet.path);
        ngtcp2_ssize len = write_packet(quic, &packet);
        if (len < 0) {
            end_by(quic, (int)len);
            return;
        }
        if (len == 0)
            break;
        send_packet(quic, &packet, len);
        bytes += (size_t)len;
        full = i + 1 == PACKETS_PER_WRITE;
    }
    ngtcp2_conn_update_pkt_tx_time(quic->conn, now(quic));
    if (quic->error != 0) {
        end_by(quic, NGTCP2_ERR_CALLBACK_FAILURE);
        return;
    }
    if (full)
        carrier_due(quic->shard, &quic->carrier);
    set_alarm(quic);
}
