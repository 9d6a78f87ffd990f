/* h3_road: what happens to a connection of QUIC, whoever is on it. */
#include "h3_road.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

enum {
    LINKS_MAX = 12,
    PACKET_MAX = 1452, /* of an Ethernet's 1,500, behind the heads of IPv6 and UDP */
    PACKET_ROOM = 2048,
    PACKETS_PER_GO = 32,
    HEAD_MAX = 65536,
    ID_BYTES = 12,
    FIRST_ID_BYTES = 16, /* of the server, until it says its own */
    IDS_MAX = 4,
    CONNECTION_WINDOW = 15 << 20,
    STREAMS_UNI = 103,
    GREAT = 3, /* RFC 9000 section 8: times what came from an address */
};
#define HANDSHAKE_NS (UINT64_C(8) * NGTCP2_SECONDS)

static const char priority[] = "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+GROUP-X25519:+SIGN-ALL:"
                               "+CTYPE-ALL:%DISABLE_TLS13_COMPAT_MODE";

static ngtcp2_tstamp now(const struct h3_road *road)
{
    return (ngtcp2_tstamp)sim_now(road->sim);
}

/* ---- beginning ---- */

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct h3_road *)ref->user_data)->conn;
}

static void tls_begin(struct h3_road *road)
{
    static const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "h3", 2};
    static const char name[] = "a.example";
    int err = gnutls_init(&road->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    assert(err == 0);
    road->ref = (ngtcp2_crypto_conn_ref){conn_of, road};
    gnutls_session_set_ptr(road->tls, &road->ref);
    err = ngtcp2_crypto_gnutls_configure_client_session(road->tls);
    assert(err == 0);
    err = gnutls_priority_set_direct(road->tls, priority, NULL);
    assert(err == 0);
    err = gnutls_certificate_allocate_credentials(&road->credentials);
    assert(err == 0);
    err = gnutls_credentials_set(road->tls, GNUTLS_CRD_CERTIFICATE, road->credentials);
    assert(err == 0);
    err = gnutls_alpn_set_protocols(road->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    assert(err == 0);
    err = gnutls_server_name_set(road->tls, GNUTLS_NAME_DNS, name, sizeof name - 1);
    assert(err == 0);
    ngtcp2_conn_set_tls_native_handle(road->conn, road->tls);
}

static void fill_params(struct sim *sim, ngtcp2_transport_params *params)
{
    static const uint64_t windows[] = {1000, 16384, 65536, 1 << 20};
    uint64_t window = windows[sim_below(sim, sizeof windows / sizeof windows[0])];
    ngtcp2_transport_params_default(params);
    params->initial_max_stream_data_bidi_local = window;
    params->initial_max_stream_data_bidi_remote = window;
    params->initial_max_stream_data_uni = window;
    params->initial_max_data = CONNECTION_WINDOW;
    params->initial_max_streams_uni = STREAMS_UNI;
    params->max_datagram_frame_size = HEAD_MAX;
    params->max_udp_payload_size = PACKET_MAX;
    params->active_connection_id_limit = IDS_MAX;
}

/* What the library sees of the way does not change: a NAT is none of its business. */
static void conn_make(struct h3_road *road)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    struct sockaddr_in6 remote = {.sin6_family = AF_INET6, .sin6_port = htons(H3_PORT)};
    const ngtcp2_path path = {
        .local = {(struct sockaddr *)&local, sizeof local},
        .remote = {(struct sockaddr *)&remote, sizeof remote},
    };
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid server, client;
    uint8_t bytes[FIRST_ID_BYTES];
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof bytes);
    ngtcp2_cid_init(&server, bytes, sizeof bytes);
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, ID_BYTES);
    ngtcp2_cid_init(&client, bytes, ID_BYTES);
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now(road);
    settings.handshake_timeout = HANDSHAKE_NS;
    settings.max_tx_udp_payload_size = PACKET_MAX;
    fill_params(road->sim, &params);
    int err = ngtcp2_conn_client_new(&road->conn, &server, &client, &path, NGTCP2_PROTO_VER_V1,
                                     &h3_callbacks, &settings, &params, NULL, road);
    assert(err == 0);
    ngtcp2_conn_set_keep_alive_timeout(
        road->conn, (ngtcp2_duration)(road->sim->settings.quic_idle_timeout_ms * SIM_MS / 3));
    tls_begin(road);
}

/* Nobody else has it, or had. */
static struct sockaddr_in6 address_new(struct sim *sim)
{
    uint64_t number = ++sim->addresses;
    struct sockaddr_in6 ret = {
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)(1024 + number % 50000)),
        .sin6_addr = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8}},
    };
    ret.sin6_addr.s6_addr[15] = (uint8_t)number;
    ret.sin6_addr.s6_addr[14] = (uint8_t)(number >> 8);
    return ret;
}

static struct h3_road *road_open(struct sim *sim)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    struct h3_road *road = calloc(1, sizeof *road);
    assert(road);
    road->sim = sim;
    road->address = address_new(sim);
    road->udp = fake_udp_open(sim->net, road->address);
    int err = nghttp3_qpack_encoder_new(&road->encoder, 0, memory);
    assert(err == 0);
    err = nghttp3_qpack_decoder_new(&road->decoder, 0, 0, memory);
    assert(err == 0);
    conn_make(road);
    sim->stats.quic_roads++;
    road->next = sim->quic_roads;
    sim->quic_roads = road;
    return road;
}

struct h3_road *h3_road_find(struct sim *sim)
{
    for (struct h3_road *road = sim->quic_roads; road; road = road->next)
        if (!road->vanished && !road->leaves && road->count < LINKS_MAX && sim_chance(sim, 700))
            return road;
    return road_open(sim);
}

/* ---- sending ---- */

/* Whether the server may know by a datagram that its sender is where it says: a packet under keys
 * that the server has sent there, or a token that it has. */
static bool proves(const uint8_t *datagram, size_t len)
{
    struct span left = span_of((const char *)datagram, len);
    while (left.len > 7 && left.ptr[0] & 0x80) {
        unsigned type = (uint8_t)left.ptr[0] >> 4 & 3;
        uint64_t number;
        if (type != 0)
            return true;
        left = span_skip(left, 5);
        left = span_skip(left, 1 + (size_t)(uint8_t)left.ptr[0]);
        left = span_skip(left, 1 + (size_t)(uint8_t)left.ptr[0]);
        if (!varint_take(&left, &number) || number > 0)
            return true;
        if (!varint_take(&left, &number) || number > left.len)
            return true;
        left = span_skip(left, (size_t)number);
    }
    return left.len > 0;
}

static void amplification_check(const struct h3_road *road)
{
    uint64_t taken = fake_udp_taken(road->udp), given = fake_udp_given(road->udp);
    sim_check(road->sim, road->proved || given <= GREAT * taken,
              "an address that nobody has proved got %llu bytes for %llu",
              (unsigned long long)given, (unsigned long long)taken);
}

static void send_packet(struct h3_road *road, const uint8_t *bytes, size_t len, uint8_t ecn)
{
    amplification_check(road);
    road->proved |= !road->moved && proves(bytes, len);
    fake_udp_send(road->udp, H3_PORT, bytes, len, ecn);
}

static bool has_more(const struct h3_stream *stream)
{
    return !stream->blocked && !stream->over &&
           (stream->sent < stream->queued || (stream->ends && !stream->end_sent));
}

static ngtcp2_ssize write_stream(struct h3_road *road, struct h3_stream *stream, uint8_t *room,
                                 ngtcp2_pkt_info *about)
{
    ngtcp2_vec vector = {0};
    ngtcp2_ssize taken = -1;
    uint32_t flags = stream ? NGTCP2_WRITE_STREAM_FLAG_MORE : NGTCP2_WRITE_STREAM_FLAG_NONE;
    if (stream && stream->sent < stream->queued) {
        uint64_t at = stream->freed;
        struct h3_chunk *chunk = stream->chunks;
        for (; at + chunk->len <= stream->sent; chunk = chunk->next)
            at += chunk->len;
        size_t skip = (size_t)(stream->sent - at);
        vector = (ngtcp2_vec){chunk->bytes + skip, chunk->len - skip};
    }
    bool end = stream && stream->ends && stream->sent + vector.len == stream->queued;
    flags |= end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0;
    ngtcp2_ssize said =
        ngtcp2_conn_writev_stream(road->conn, NULL, about, room, PACKET_MAX, &taken, flags,
                                  stream ? stream->id : -1, &vector, stream ? 1 : 0, now(road));
    if (!stream)
        return said;
    stream->blocked = said == NGTCP2_ERR_STREAM_DATA_BLOCKED;
    stream->over |= said == NGTCP2_ERR_STREAM_SHUT_WR || said == NGTCP2_ERR_STREAM_NOT_FOUND;
    if (taken >= 0) {
        stream->sent += (uint64_t)taken;
        stream->end_sent = end && (size_t)taken == vector.len;
    }
    return said;
}

/* What does not fit now is lost. */
static ngtcp2_ssize write_datagram(struct h3_road *road, struct bytes *datagram, uint8_t *room,
                                   ngtcp2_pkt_info *about)
{
    const ngtcp2_vec vector = {(uint8_t *)datagram->ptr, datagram->len};
    int taken = 0;
    ngtcp2_ssize said =
        ngtcp2_conn_writev_datagram(road->conn, NULL, about, room, PACKET_MAX, &taken,
                                    NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &vector, 1, now(road));
    bytes_free(datagram);
    return said;
}

/* Returns the size of a packet, 0, or an error. */
static ngtcp2_ssize write_packet(struct h3_road *road, uint8_t *room, ngtcp2_pkt_info *about)
{
    for (struct h3_link *link = road->links; link; link = link->next) {
        if (link->datagram.len == 0)
            continue;
        ngtcp2_ssize said = write_datagram(road, &link->datagram, room, about);
        if (said != NGTCP2_ERR_WRITE_MORE)
            return said;
    }
    for (struct h3_stream *stream = road->streams; stream; stream = stream->next) {
        while (has_more(stream)) {
            ngtcp2_ssize said = write_stream(road, stream, room, about);
            if (said >= 0 || (said != NGTCP2_ERR_WRITE_MORE && !stream->blocked && !stream->over))
                return said;
        }
    }
    return write_stream(road, NULL, room, about);
}

static void road_write(struct h3_road *road)
{
    uint8_t room[PACKET_ROOM];
    for (unsigned i = 0; i < PACKETS_PER_GO; i++) {
        ngtcp2_pkt_info about;
        ngtcp2_ssize len = write_packet(road, room, &about);
        sim_check(road->sim, len >= 0, "QUIC: writing: %s", ngtcp2_strerror((int)len));
        if (len == 0)
            break;
        send_packet(road, room, (size_t)len, about.ecn);
    }
    ngtcp2_conn_update_pkt_tx_time(road->conn, now(road));
}

/* ---- ending ---- */

static void say_end(struct h3_road *road)
{
    uint8_t room[PACKET_ROOM];
    ngtcp2_pkt_info about;
    quic_close_error error;
    quic_error_default(&error);
    quic_error_application(&error, HTTP3_NO_ERROR);
    ngtcp2_ssize len = ngtcp2_conn_write_connection_close(road->conn, NULL, &about, room,
                                                          PACKET_MAX, &error, now(road));
    if (len > 0)
        send_packet(road, room, (size_t)len, about.ecn);
}

static void road_free(struct h3_road *road)
{
    struct h3_road **at = &road->sim->quic_roads;
    while (*at != road)
        at = &(*at)->next;
    *at = road->next;
    while (road->streams)
        h3_stream_free(road->streams);
    if (road->tls)
        gnutls_deinit(road->tls);
    gnutls_certificate_free_credentials(road->credentials);
    ngtcp2_conn_del(road->conn);
    nghttp3_qpack_encoder_del(road->encoder);
    nghttp3_qpack_decoder_del(road->decoder);
    fake_udp_close(road->udp);
    free(road);
}

/* All who are on it find their connections closed. */
static void road_over(struct h3_road *road)
{
    amplification_check(road);
    for (struct h3_link *link = road->links; link; link = link->next) {
        link->road = NULL;
        h3_link_over(link);
    }
    road_free(road);
}

/* ---- its troubles ---- */

/* What no server can make sense of. */
static void talk_nonsense(struct h3_road *road)
{
    uint8_t noise[PACKET_MAX];
    size_t len = sim_below(road->sim, sizeof noise);
    for (size_t i = 0; i < len; i++)
        noise[i] = (uint8_t)sim_random(road->sim);
    fake_udp_send(road->udp, H3_PORT, noise, len, 0);
}

/* Its NAT has forgotten it. */
static void move(struct h3_road *road)
{
    amplification_check(road);
    road->address = address_new(road->sim);
    fake_udp_move(road->udp, road->address);
    road->proved = false;
    road->moved = true;
    road->sim->stats.moves++;
}

static void vanish(struct h3_road *road)
{
    road->vanished = true;
    for (struct h3_link *link = road->links; link; link = link->next)
        link->client->vanished = true;
}

static void road_trouble(struct h3_road *road)
{
    struct sim *sim = road->sim;
    if (road->open && sim_chance(sim, sim->trouble))
        move(road);
    if (sim_chance(sim, sim->trouble))
        talk_nonsense(road);
    if (road->control.has_settings && sim_chance(sim, sim->trouble))
        ngtcp2_conn_initiate_key_update(road->conn, now(road)); /* it may be too early */
    if (sim_chance(sim, sim->trouble)) {
        sim->stats.stalls++;
        road->stalled_until_ns = sim_now(sim) + (int64_t)sim_below(sim, 6 * SIM_S);
        if (sim_chance(sim, 200))
            vanish(road);
    }
}

/* ---- going ---- */

static void opened(struct h3_road *road)
{
    uint8_t preamble[HTTP3_PREAMBLE_BYTES_MAX];
    ngtcp2_conn_set_tls_native_handle(road->conn, NULL);
    gnutls_deinit(road->tls);
    road->tls = NULL;
    road->open = true;
    struct h3_stream *control = h3_stream_open(road, false);
    assert(control);
    h3_stream_queue(control, preamble, http3_preamble_write(preamble, HEAD_MAX));
    road->sim->stats.quic_open++;
}

/* A server that is well has reasons to close. In a handshake it may not say which. */
static void closed_check(struct h3_road *road)
{
    const struct sim *sim = road->sim;
    quic_close_error error;
    quic_error_of_peer(road->conn, &error);
    uint64_t code = error.error_code;
    bool application = quic_error_is_application(&error);
    bool fine = application ? code == HTTP3_NO_ERROR || code == HTTP3_EXCESSIVE_LOAD
                            : code == NGTCP2_NO_ERROR || code == NGTCP2_CONNECTION_REFUSED ||
                                  code == NGTCP2_APPLICATION_ERROR ||
                                  (code == NGTCP2_INVALID_TOKEN && !sim->calm);
    /* Where a client does not answer from where it is, the library gives up. */
    fine |= !application && code == NGTCP2_NO_VIABLE_PATH && road->moved;
    bool starved = sim->starved && code == (application ? (uint64_t)HTTP3_INTERNAL_ERROR
                                                        : (uint64_t)NGTCP2_INTERNAL_ERROR);
    sim_check(sim, fine || starved, "QUIC: the server closes with %s error %llx",
              application ? "application's" : "transport's", (unsigned long long)code);
}

/* Returns false when the road is over. */
static bool is_fine(struct h3_road *road, int err)
{
    switch (err) {
    case 0:
        return true;
    case NGTCP2_ERR_DRAINING:
        closed_check(road);
        return false;
    case NGTCP2_ERR_IDLE_CLOSE:
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        return false;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION: /* nothing protects it on its way */
        sim_check(road->sim, !road->sim->calm, "QUIC: no such version");
        return false;
    default:
        sim_breach(road->sim, __FILE__, __LINE__, "QUIC: reading: %s", ngtcp2_strerror(err));
    }
}

/* Returns false when the road is over. */
static bool road_read(struct h3_road *road)
{
    uint8_t room[PACKET_ROOM];
    uint8_t ecn;
    ssize_t len;
    amplification_check(road);
    while ((len = fake_udp_receive(road->udp, room, sizeof room, &ecn)) >= 0) {
        const ngtcp2_pkt_info about = {.ecn = ecn};
        road->proved |= road->moved; /* what is sent now may answer a challenge */
        int err = len == 0 ? 0
                           : ngtcp2_conn_read_pkt(road->conn, ngtcp2_conn_get_path(road->conn),
                                                  &about, room, (size_t)len, now(road));
        if (!is_fine(road, err))
            return false;
        if (road->tls && ngtcp2_conn_get_handshake_completed(road->conn))
            opened(road);
    }
    return ngtcp2_conn_get_expiry(road->conn) > now(road) ||
           is_fine(road, ngtcp2_conn_handle_expiry(road->conn, now(road)));
}

void h3_road_go(struct h3_road *road)
{
    struct sim *sim = road->sim;
    if (road->vanished || (!sim->calm && sim_now(sim) < road->stalled_until_ns))
        return;
    if (!sim->calm)
        road_trouble(road);
    if (road->vanished)
        return;
    if (!road_read(road)) {
        road_over(road);
        return;
    }
    for (struct h3_link *link = road->links; link; link = link->next)
        h3_link_ask(link);
    road_write(road);
}

void h3_road_leave(struct h3_link *link)
{
    struct h3_road *road = link->road;
    struct h3_link **at = &road->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    link->road = NULL;
    if (--road->count > 0)
        return;
    if (!road->vanished)
        say_end(road);
    road_free(road);
}
