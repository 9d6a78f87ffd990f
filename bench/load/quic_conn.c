/* quic_conn: a link's connection: begins, reads, writes, ends. The library may not be called by
 * what it calls: what there is to be said is said when the link is due. */
#include <errno.h>
#include <stdlib.h>

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <utlist.h>

#include "load/quic.h"

enum {
    STREAM_WINDOW = 6 << 20, /* as Chromium has them */
    CONNECTION_WINDOW = 15 << 20,
    STREAMS_BIDI = 100,
    STREAMS_UNI = 103,
    DATAGRAM_FRAME_MAX = 65536,
    CIDS_MAX = 2,
    FIRST_ID_BYTES = 16, /* of the server, until it says its own */
    SERVER_NAME_BYTES = 9,
};
#define SERVER_NAME "localhost"
#define KEEP_ALIVE  (UINT64_C(15) * NGTCP2_SECONDS)

static ngtcp2_tstamp now(const struct quic *quic)
{
    return (ngtcp2_tstamp)quic->load->now_ns;
}

static void random_fill(void *to, size_t len)
{
    int err = gnutls_rnd(GNUTLS_RND_NONCE, to, len);
    assert(err == 0);
}

/* ---- ending ---- */

/* The library is not on the stack. */
static void end(struct quic *quic)
{
    struct load *load = quic->load;
    ngtcp2_path_storage path;
    ngtcp2_pkt_info about;
    quic_close_error error;
    ngtcp2_path_storage_zero(&path);
    quic_error_default(&error);
    quic_error_application(&error, HTTP3_NO_ERROR);
    ngtcp2_ssize len = quic->is_dead || !quic->conn
                           ? 0
                           : ngtcp2_conn_write_connection_close(quic->conn, &path.path, &about,
                                                                (uint8_t *)quic_room(load),
                                                                QUIC_PACKET_MAX, &error, now(quic));
    if (len > 0)
        quic_send(quic, (size_t)len, about.ecn);
    http3_streams_free(quic);
    if (quic->tls)
        gnutls_deinit(quic->tls);
    if (quic->conn)
        ngtcp2_conn_del(quic->conn);
    free(quic->control);
    free(quic);
}

void quic_closed(struct load *load, struct link *link)
{
    struct quic *quic = quic_of(load, link_index(load, link));
    if (!quic)
        return;
    load->states[quic->link] = NULL;
    alarms_cancel(&load->quic->alarms, quic->link);
    quic->is_over = true;
    if (!quic->is_busy)
        end(quic);
}

/* Its link has perhaps ended while it was busy. Returns whether it is still there. */
static bool is_there(struct quic *quic)
{
    const bool is_over = quic->is_over;
    quic->is_busy = false;
    if (is_over)
        end(quic);
    return !is_over;
}

/* What the library found wrong. */
static void failed(struct quic *quic, int err)
{
    struct load *load = quic->load;
    struct link *link = quic_link(quic);
    bool is_up = link->phase == LINK_UP;
    quic->is_dead =
        err == NGTCP2_ERR_DRAINING || err == NGTCP2_ERR_DROP_CONN || err == NGTCP2_ERR_IDLE_CLOSE;
    switch (err) {
    case NGTCP2_ERR_DRAINING:
        link_ended(load, link);
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_IDLE_CLOSE:
        link_fail(load, link, is_up ? LOAD_FAIL_END : LOAD_FAIL_TIMEOUT);
        break;
    case NGTCP2_ERR_CRYPTO:
        link_fail(load, link, LOAD_FAIL_TLS);
        break;
    default:
        link_fail(load, link, LOAD_FAIL_HTTP);
    }
}

/* ---- what the library asks and tells ---- */

static void draw(uint8_t *to, size_t len, const ngtcp2_rand_ctx *context)
{
    (void)context;
    random_fill(to, len);
}

static void cid_draw(const struct quic *quic, ngtcp2_cid *ret)
{
    uint8_t bytes[QUIC_CID_BYTES];
    const uint16_t *generation = &quic->load->quic->generations[quic->link];
    random_fill(bytes, sizeof bytes);
    memcpy(bytes, &quic->link, sizeof quic->link);
    memcpy(bytes + sizeof quic->link, generation, sizeof *generation);
    ngtcp2_cid_init(ret, bytes, sizeof bytes);
}

static int on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
    (void)conn;
    assert(len == QUIC_CID_BYTES);
    cid_draw(user, cid);
    random_fill(token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

/* Behind the handshake tickets may come, which nobody wants. */
static int on_crypto(ngtcp2_conn *conn, quic_level level, uint64_t offset, const uint8_t *data,
                     size_t len, void *user)
{
    const struct quic *quic = user;
    return quic->tls ? ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, len, user) : 0;
}

/* While it writes the library would lose a packet by an error, and there is nothing that it could
 * do; but what it reads it need not read on. */
static int go_on(const struct quic *quic)
{
    return quic->is_over ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static bool is_servers_own(int64_t id)
{
    return (id & 3) == 3;
}

/* ngtcp2 0.12 never closes a server's one-way stream: the server may open another one now. */
static void one_way_over(const struct quic *quic, int64_t id)
{
    struct http3_stream *stream = quic->streams;
    while (stream && stream->id != id)
        stream = stream->next;
    if (!stream)
        return;
    ngtcp2_conn_extend_max_streams_uni(quic->conn, 1);
    ngtcp2_conn_set_stream_user_data(quic->conn, id, NULL);
    http3_stream_closed(stream, HTTP3_NO_ERROR);
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream_user)
{
    struct quic *quic = user;
    (void)offset;
    bool sound = http3_stream_data(quic, stream_user, id, span_of((const char *)data, len),
                                   flags & NGTCP2_STREAM_DATA_FLAG_FIN);
    if (!sound)
        link_fail(quic->load, quic_link(quic), LOAD_FAIL_HTTP);
    if (!quic->is_over) {
        ngtcp2_conn_extend_max_offset(conn, len);
        ngtcp2_conn_extend_max_stream_offset(conn, id, len);
    }
    if (sound && !quic->is_over && is_servers_own(id) && flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        one_way_over(quic, id);
    return go_on(quic);
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
    struct http3_stream *stream = stream_user;
    (void)conn, (void)id, (void)most, (void)user;
    if (!stream)
        return 0;
    stream->is_blocked = false;
    http3_ready(stream);
    return 0;
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    const struct quic *quic = user;
    (void)flags;
    if (is_servers_own(id))
        one_way_over(quic, id);
    else if (id & 1)
        ngtcp2_conn_extend_max_streams_bidi(conn, 1);
    if (stream_user && !is_servers_own(id))
        http3_stream_closed(stream_user, code);
    return go_on(quic);
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t len,
                       void *user)
{
    (void)conn, (void)flags;
    webtransport_datagram(user, span_of((const char *)data, len));
    return go_on(user);
}

static int on_more_streams(ngtcp2_conn *conn, uint64_t most, void *user)
{
    (void)conn, (void)most;
    http3_more_streams(user);
    return go_on(user);
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_crypto_data = on_crypto,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_close = on_stream_close,
    .extend_max_local_streams_bidi = on_more_streams,
    .rand = draw,
    .get_new_connection_id = on_new_cid,
    .update_key = ngtcp2_crypto_update_key_cb,
    .recv_datagram = on_datagram,
    .extend_max_stream_data = on_stream_window,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* ---- beginning ---- */

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct quic *)ref->user_data)->conn;
}

static int tls_begin(struct quic *quic)
{
    static const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "h3", 2};
    const struct quic_port *port = quic->load->quic;
    int err = gnutls_init(&quic->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (err < 0)
        return err;
    quic->ref = (ngtcp2_crypto_conn_ref){conn_of, quic};
    gnutls_session_set_ptr(quic->tls, &quic->ref);
    err = ngtcp2_crypto_gnutls_configure_client_session(quic->tls);
    if (err == 0)
        err = gnutls_priority_set(quic->tls, port->priority);
    if (err == 0)
        err = gnutls_credentials_set(quic->tls, GNUTLS_CRD_CERTIFICATE, port->credentials);
    if (err == 0)
        err = gnutls_alpn_set_protocols(quic->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    if (err == 0)
        err = gnutls_server_name_set(quic->tls, GNUTLS_NAME_DNS, SERVER_NAME, SERVER_NAME_BYTES);
    ngtcp2_conn_set_tls_native_handle(quic->conn, quic->tls);
    return err;
}

/* Our end of the path is the same for all: the socket is for all addresses. */
static int make(struct quic *quic)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6};
    const ngtcp2_path path = {
        .local = {(struct sockaddr *)&local, sizeof local},
        .remote = {(struct sockaddr *)&quic->peer, sizeof quic->peer},
    };
    uint8_t first[FIRST_ID_BYTES];
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid server, client;
    random_fill(first, sizeof first);
    ngtcp2_cid_init(&server, first, sizeof first);
    cid_draw(quic, &client);
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now(quic);
    settings.handshake_timeout = quic->load->handshake_timeout_ms * NGTCP2_MILLISECONDS;
    settings.max_tx_udp_payload_size = QUIC_PACKET_MAX;
    settings.no_pmtud = true;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_local = STREAM_WINDOW;
    params.initial_max_stream_data_bidi_remote = STREAM_WINDOW;
    params.initial_max_stream_data_uni = STREAM_WINDOW;
    params.initial_max_data = CONNECTION_WINDOW;
    params.initial_max_streams_bidi = STREAMS_BIDI;
    params.initial_max_streams_uni = STREAMS_UNI;
    params.max_datagram_frame_size = DATAGRAM_FRAME_MAX;
    params.max_udp_payload_size = QUIC_PACKET_MAX;
    params.active_connection_id_limit = CIDS_MAX;
    if (ngtcp2_conn_client_new(&quic->conn, &server, &client, &path, NGTCP2_PROTO_VER_V1,
                               &callbacks, &settings, &params, NULL, quic) != 0) {
        quic->conn = NULL; /* it may be what the library has freed */
        return -ENOMEM;
    }
    ngtcp2_conn_set_keep_alive_timeout(quic->conn, KEEP_ALIVE);
    return tls_begin(quic);
}

static struct sockaddr_in6 mapped(const struct sockaddr_in *address)
{
    struct sockaddr_in6 ret = {
        .sin6_family = AF_INET6,
        .sin6_port = address->sin_port,
        .sin6_addr = {.s6_addr = {[10] = 0xff, 0xff}},
    };
    memcpy(ret.sin6_addr.s6_addr + 12, &address->sin_addr, sizeof address->sin_addr);
    return ret;
}

void quic_connect(struct load *load, struct link *link, const struct sockaddr_in *to)
{
    struct quic_port *port = load->quic;
    struct quic *quic = calloc(1, sizeof *quic);
    assert(quic);
    quic->load = load;
    quic->link = link_index(load, link);
    quic->peer = mapped(to);
    port->generations[quic->link]++;
    load->states[quic->link] = quic;
    link->phase = LINK_TLS;
    struct group *group = link_group(load, link);
    if (group->network)
        network_begin(group->network, quic->link - group->first_link, load->now_ns);
    if (make(quic) < 0)
        link_fail(load, link, LOAD_FAIL_CONNECT);
    else
        quic_due(quic);
}

/* ---- reading ---- */

/* The library has the keys. */
static void handshake_over(struct quic *quic)
{
    ngtcp2_conn_set_tls_native_handle(quic->conn, NULL);
    gnutls_deinit(quic->tls);
    quic->tls = NULL;
    quic->is_busy = true;
    http3_opened(quic);
}

void quic_read(struct quic *quic, char *bytes, size_t len, uint8_t ecn)
{
    struct load *load = quic->load;
    const ngtcp2_pkt_info about = {.ecn = ecn};
    struct load_counters *counters = &link_group(load, quic_link(quic))->counters;
    counters->bytes_in += len;
    counters->reads++;
    quic->is_busy = true;
    int err = ngtcp2_conn_read_pkt(quic->conn, ngtcp2_conn_get_path(quic->conn), &about,
                                   (const uint8_t *)bytes, len, now(quic));
    if (!is_there(quic))
        return;
    if (err != 0) {
        failed(quic, err);
        return;
    }
    if (quic->tls && ngtcp2_conn_get_handshake_completed(quic->conn))
        handshake_over(quic);
    if (is_there(quic))
        quic_due(quic);
}

void quic_alarm(struct quic *quic)
{
    int64_t expiry_ns = (int64_t)ngtcp2_conn_get_expiry(quic->conn);
    if (expiry_ns > quic->load->now_ns) {
        alarms_set(&quic->load->quic->alarms, quic->link, expiry_ns);
        return;
    }
    int err = ngtcp2_conn_handle_expiry(quic->conn, now(quic));
    if (err == 0)
        quic_due(quic);
    else
        failed(quic, err);
}

/* ---- writing ---- */

/* The first of those with something to send; it goes to the end of the list if it has more. */
static struct http3_stream *next_ready(struct quic *quic)
{
    struct http3_stream *stream = quic->ready;
    if (!stream)
        return NULL;
    LL_DELETE2(quic->ready, stream, next_ready);
    stream->is_ready = false;
    return stream;
}

/* Returns what the library said: the size of a packet, 0 for none, or an error. */
static ngtcp2_ssize write_stream(struct quic *quic, ngtcp2_path *path, ngtcp2_pkt_info *about,
                                 struct http3_stream *stream)
{
    ngtcp2_ssize taken = -1;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_NONE;
    ngtcp2_vec vector = {0};
    if (stream) {
        flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (stream->ends ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
        vector = (ngtcp2_vec){(uint8_t *)(uintptr_t)stream->bytes + stream->sent,
                              stream->len - stream->sent};
    }
    ngtcp2_ssize len = ngtcp2_conn_writev_stream(
        quic->conn, path, about, (uint8_t *)quic_room(quic->load), QUIC_PACKET_MAX, &taken, flags,
        stream ? stream->id : -1, &vector, stream ? 1 : 0, now(quic));
    if (stream && taken >= 0) {
        stream->sent += (uint32_t)taken;
        stream->end_sent = stream->ends && stream->sent == stream->len;
    }
    if (!stream)
        return len;
    stream->is_blocked = len == NGTCP2_ERR_STREAM_DATA_BLOCKED;
    if (len == NGTCP2_ERR_STREAM_SHUT_WR || len == NGTCP2_ERR_STREAM_NOT_FOUND)
        stream->sent = stream->len;
    http3_ready(stream);
    return len;
}

/* What is said of one stream, and not of the connection. */
static bool goes_on(ngtcp2_ssize said)
{
    return said == NGTCP2_ERR_WRITE_MORE || said == NGTCP2_ERR_STREAM_DATA_BLOCKED ||
           said == NGTCP2_ERR_STREAM_SHUT_WR || said == NGTCP2_ERR_STREAM_NOT_FOUND;
}

static void set_alarm(struct quic *quic)
{
    struct alarms *alarms = &quic->load->quic->alarms;
    int64_t expiry_ns = (int64_t)ngtcp2_conn_get_expiry(quic->conn);
    if (expiry_ns < alarms_at_ns(alarms, quic->link))
        alarms_set(alarms, quic->link, expiry_ns);
}

void quic_write(struct quic *quic)
{
    ngtcp2_ssize len = 0;
    quic->is_busy = true;
    do {
        ngtcp2_path_storage path;
        ngtcp2_pkt_info about;
        struct http3_stream *stream;
        ngtcp2_path_storage_zero(&path);
        do {
            stream = next_ready(quic);
            len = write_stream(quic, &path.path, &about, stream);
        } while (stream && goes_on(len));
        if (len > 0)
            quic_send(quic, (size_t)len, about.ecn);
    } while (len > 0);
    if (len == 0)
        ngtcp2_conn_update_pkt_tx_time(quic->conn, now(quic));
    if (!is_there(quic))
        return;
    if (len < 0)
        failed(quic, (int)len);
    else
        set_alarm(quic);
}
