/* quic_calls: what the library asks and tells. None of these may call it back to read or write, and
 * none frees the connection: that is left to whoever called the library. */
#include <gnutls/gnutls.h>

#include "carrier/quic_internal.h"

static int result_of(struct quic *quic, uint64_t code)
{
    if (code != 0)
        return http3_failed(quic, code);
    return quic->is_dead ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void draw(uint8_t *to, size_t len, const ngtcp2_rand_ctx *context)
{
    (void)context;
    quic_random(to, len);
}

/* ---- the handshake ---- */

/* A client has nothing to say in a handshake that is over: TLS's own KeyUpdate is an error (RFC
 * 9001 section 6). It may come in the datagram that ends the handshake, and the session is still
 * there then: it would take new keys, at which the library stops the process. */
static int on_crypto(ngtcp2_conn *conn, quic_level level, uint64_t offset, const uint8_t *data,
                     size_t len, void *user)
{
    const struct quic *quic = user;
    if (quic->is_open) {
        ngtcp2_conn_set_tls_alert(conn, GNUTLS_A_UNEXPECTED_MESSAGE);
        return NGTCP2_ERR_CRYPTO;
    }
    return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, len, user);
}

static int on_open(ngtcp2_conn *conn, void *user)
{
    struct quic *quic = user;
    (void)conn;
    quic->is_open = true;
    counter_add(&quic->shard->counters.quic_handshakes, 1);
    if (http3_begin(quic) < 0) {
        quic->is_open = false;
        return http3_failed(quic, HTTP3_INTERNAL_ERROR);
    }
    if (quic->shard->draining)
        quic_transport.drain(quic->shard, quic_line(quic));
    return 0;
}

/* ---- connection IDs ---- */

static int on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
    (void)conn;
    struct quic *quic = user;
    const struct quic_library *library = quic->shard->server->quic;
    quic_cid_draw(quic->shard, cid, len);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, library->reset_secret,
                                                     sizeof library->reset_secret, cid) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return quic_cid_add(quic, cid) < 0 ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_old_cid(ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user)
{
    (void)conn;
    quic_cid_remove(user, cid);
    return 0;
}

/* ---- streams ---- */

static bool is_one_way(int64_t id)
{
    return id & 2;
}

static bool is_clients_own(int64_t id)
{
    return is_one_way(id) && !(id & 1);
}

static int on_stream(ngtcp2_conn *conn, int64_t id, void *user)
{
    struct quic *quic = user;
    struct http3_stream *stream =
        http3_stream_open(quic, id, is_one_way(id) ? HTTP3_STREAM_UNKNOWN : HTTP3_STREAM_REQUEST);
    if (!stream)
        return http3_failed(quic, HTTP3_INTERNAL_ERROR);
    ngtcp2_conn_set_stream_user_data(conn, id, stream);
    if (quic->drains && stream->kind == HTTP3_STREAM_REQUEST)
        http3_stream_reset(stream, HTTP3_REQUEST_REJECTED);
    return 0;
}

/* A stream whose answers do not leave is not read from: its window stays closed. */
static void tell_window(struct quic *quic, struct http3_stream *stream, size_t len)
{
    struct conn *line = http3_line(stream);
    bool waits = line && line->state == CONN_OPEN &&
                 conn_waiting(line) > (uint64_t)quic->shard->settings->queue_bytes_max;
    struct conn_extra *extra = waits ? conn_extra(line) : NULL;
    ngtcp2_conn_extend_max_offset(quic->conn, len);
    if (extra) {
        conn_pause(line);
        extra->unread += (uint32_t)len;
    } else {
        quic_submitted(quic, ngtcp2_conn_extend_max_stream_offset(quic->conn, stream->id, len));
    }
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream_user)
{
    (void)conn, (void)id, (void)offset;
    struct quic *quic = user;
    struct http3_stream *stream = stream_user;
    if (!stream)
        return 0;
    uint64_t code =
        http3_input(stream, span_of((const char *)data, len), flags & NGTCP2_STREAM_DATA_FLAG_FIN);
    if (code == 0 && !quic->is_dead && len > 0)
        tell_window(quic, stream, len);
    if (code == 0 && !quic->is_dead && flags & NGTCP2_STREAM_DATA_FLAG_FIN && is_clients_own(id))
        http3_one_way_done(stream);
    return result_of(quic, code);
}

static int on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len, void *user,
                    void *stream_user)
{
    (void)conn, (void)id, (void)user;
    if (stream_user)
        http3_acked(stream_user, offset + len);
    return 0;
}

static int on_stream_window(ngtcp2_conn *conn, int64_t id, uint64_t most, void *user,
                            void *stream_user)
{
    (void)conn, (void)id, (void)most, (void)user;
    struct http3_stream *stream = stream_user;
    if (!stream)
        return 0;
    stream->is_blocked = false;
    http3_ready(stream);
    return 0;
}

static int on_stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *user,
                           void *stream_user)
{
    struct quic *quic = user;
    (void)conn, (void)size, (void)code;
    uint64_t error = stream_user ? http3_was_reset(stream_user, true) : 0;
    if (stream_user && error == 0 && !quic->is_dead && is_clients_own(id))
        http3_one_way_done(stream_user);
    return result_of(quic, error);
}

/* RFC 9114 section 4.1.1: the client takes no answer. The library resets our side by itself. */
static int on_stop_sending(ngtcp2_conn *conn, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    (void)conn, (void)id, (void)code;
    struct http3_stream *stream = stream_user;
    if (!stream)
        return 0;
    stream->is_over = true;
    return result_of(user, http3_was_reset(stream, false));
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    (void)flags, (void)code;
    struct quic *quic = user;
    if (is_clients_own(id) && stream_user)
        http3_one_way_done(stream_user);
    else if (!is_one_way(id) && !(id & 1))
        ngtcp2_conn_extend_max_streams_bidi(conn, 1);
    if (stream_user) {
        http3_line_end(stream_user, CLOSE_DONE);
        http3_stream_free(stream_user);
    }
    return result_of(quic, 0);
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t len,
                       void *user)
{
    (void)conn, (void)flags;
    return result_of(user, http3_datagram_input(user, span_of((const char *)data, len)));
}

/* The client lets more streams be opened: some session may wait for that. */
static int on_more_streams(ngtcp2_conn *conn, uint64_t most, void *user)
{
    (void)conn, (void)most;
    struct quic *quic = user;
    carrier_due(quic->shard, &quic->carrier);
    return 0;
}

const ngtcp2_callbacks quic_callbacks = {
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = on_crypto,
    .handshake_completed = on_open,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_open = on_stream,
    .stream_close = on_stream_close,
    .rand = draw,
    .get_new_connection_id = on_new_cid,
    .remove_connection_id = on_old_cid,
    .update_key = ngtcp2_crypto_update_key_cb,
    .stream_reset = on_stream_reset,
    .extend_max_stream_data = on_stream_window,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .stream_stop_sending = on_stop_sending,
    .recv_datagram = on_datagram,
    .extend_max_local_streams_uni = on_more_streams,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};
