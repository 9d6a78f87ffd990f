/* h3_stream: streams of a connection of QUIC, and what its library asks and tells. */
#include "h3_road.h"

#include <assert.h>
#include <string.h>

#include <gnutls/crypto.h>

/* ---- chance ---- */

static uint64_t random_state;

void h3_random_seed(uint64_t seed)
{
    random_state = seed;
}

/* In place of the library's: what depends on what is in an ID goes the same way twice. What is
 * inside of records is drawn elsewhere, and matters to nobody: its length does not depend on it. */
int gnutls_rnd(gnutls_rnd_level_t level, void *data, size_t len)
{
    (void)level;
    uint8_t *to = data;
    for (size_t i = 0; i < len; i++) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        to[i] = (uint8_t)(random_state >> 56);
    }
    return 0;
}

static void draw(uint8_t *to, size_t len, const ngtcp2_rand_ctx *context)
{
    (void)context;
    gnutls_rnd(GNUTLS_RND_NONCE, to, len);
}

/* ---- streams ---- */

static struct h3_stream *stream_make(struct h3_road *road, enum h3_kind kind)
{
    struct h3_stream *stream = calloc(1, sizeof *stream);
    assert(stream);
    stream->road = road;
    stream->kind = kind;
    struct h3_stream **end = &road->streams;
    while (*end)
        end = &(*end)->next;
    *end = stream;
    return stream;
}

/* Frees what is acknowledged up to there. */
static void chunks_free(struct h3_stream *stream, uint64_t offset)
{
    while (stream->chunks && stream->freed + stream->chunks->len <= offset) {
        struct h3_chunk *first = stream->chunks;
        stream->chunks = first->next;
        stream->freed += first->len;
        free(first);
    }
}

void h3_stream_free(struct h3_stream *stream)
{
    struct h3_stream **at = &stream->road->streams;
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    chunks_free(stream, stream->queued);
    bytes_free(&stream->head);
    free(stream);
}

struct h3_stream *h3_stream_open(struct h3_road *road, bool both_ways)
{
    struct h3_stream *stream = stream_make(road, both_ways ? H3_REQUEST : H3_IGNORED);
    int err = both_ways ? ngtcp2_conn_open_bidi_stream(road->conn, &stream->id, stream)
                        : ngtcp2_conn_open_uni_stream(road->conn, &stream->id, stream);
    if (err == 0)
        return stream;
    h3_stream_free(stream);
    return NULL;
}

void h3_stream_queue(struct h3_stream *stream, const void *bytes, size_t len)
{
    struct h3_chunk **end = &stream->chunks;
    if (len == 0)
        return;
    while (*end)
        end = &(*end)->next;
    *end = malloc(sizeof **end + len);
    assert(*end);
    (*end)->next = NULL;
    (*end)->len = len;
    memcpy((*end)->bytes, bytes, len);
    stream->queued += len;
}

void h3_stream_reset(struct h3_stream *stream)
{
    stream->over = true;
    int err = quic_shutdown_stream(stream->road->conn, stream->id, HTTP3_REQUEST_CANCELLED);
    assert(err == 0 || err == NGTCP2_ERR_STREAM_NOT_FOUND);
}

/* ---- what the library tells ---- */

static void control_input(struct h3_stream *stream, struct span bytes)
{
    struct h3_road *road = stream->road;
    uint64_t code = http3_control_input(&road->control, bytes);
    sim_check(road->sim, code == 0, "HTTP/3: control stream: error %llx", (unsigned long long)code);
    road->leaves |= road->control.goaway != 0;
}

/* ngtcp2 0.12 never closes a server's one-way stream, however it ends. What nobody could hear yet
 * stays. */
static void one_way_over(struct h3_stream *stream)
{
    ngtcp2_conn *conn = stream->road->conn;
    if (stream->link && stream->ended)
        return;
    ngtcp2_conn_extend_max_streams_uni(conn, 1);
    ngtcp2_conn_set_stream_user_data(conn, stream->id, NULL);
    if (stream->link)
        h3_link_stream_over(stream);
    h3_stream_free(stream);
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream_user)
{
    struct h3_road *road = user;
    struct h3_stream *stream = stream_user;
    struct span bytes = span_of((const char *)data, len);
    uint64_t number;
    (void)offset;
    if (!stream) {
        stream = stream_make(road, H3_UNKNOWN);
        stream->id = id;
        ngtcp2_conn_set_stream_user_data(conn, id, stream);
    }
    ngtcp2_conn_extend_max_offset(conn, len);
    if (!stream->link || stream != stream->link->stream)
        ngtcp2_conn_extend_max_stream_offset(conn, id, len);
    if (stream->kind == H3_UNKNOWN && http3_number_take(&stream->number, &bytes, &number))
        stream->kind = number == HTTP3_KIND_CONTROL        ? H3_CONTROL
                       : number == HTTP3_KIND_WEBTRANSPORT ? H3_SESSIONS
                                                           : H3_IGNORED;
    if (stream->kind == H3_SESSIONS && http3_number_take(&stream->number, &bytes, &number)) {
        stream->kind = H3_RAW;
        stream->link = h3_session_find(road, number);
    }
    if (stream->kind == H3_CONTROL)
        control_input(stream, bytes);
    else if (stream->link)
        h3_link_hear(stream, bytes, flags & NGTCP2_STREAM_DATA_FLAG_FIN);
    if (id & 1 && flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        one_way_over(stream);
    return 0;
}

static int on_stream_reset(ngtcp2_conn *conn, int64_t id, uint64_t size, uint64_t code, void *user,
                           void *stream_user)
{
    (void)conn, (void)size, (void)code, (void)user;
    if (id & 1 && stream_user)
        one_way_over(stream_user);
    return 0;
}

static int on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t len, void *user,
                    void *stream_user)
{
    (void)conn, (void)id, (void)user;
    if (stream_user)
        chunks_free(stream_user, offset + len);
    return 0;
}

static int on_stream_window(ngtcp2_conn *conn, int64_t id, uint64_t most, void *user,
                            void *stream_user)
{
    (void)conn, (void)id, (void)most, (void)user;
    struct h3_stream *stream = stream_user;
    if (stream)
        stream->blocked = false;
    return 0;
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    struct h3_stream *stream = stream_user;
    (void)conn, (void)flags, (void)code, (void)user;
    if (!stream)
        return 0;
    if (id & 1) {
        one_way_over(stream);
        return 0;
    }
    if (stream->link)
        h3_link_stream_over(stream);
    h3_stream_free(stream);
    return 0;
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t len,
                       void *user)
{
    (void)conn, (void)flags;
    h3_session_datagram(user, span_of((const char *)data, len));
    return 0;
}

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
    (void)conn, (void)user;
    draw(bytes, len, NULL);
    draw(token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);
    ngtcp2_cid_init(cid, bytes, len);
    return 0;
}

/* Behind the handshake tickets may come, which nobody wants. */
static int on_crypto(ngtcp2_conn *conn, quic_level level, uint64_t offset, const uint8_t *data,
                     size_t len, void *user)
{
    const struct h3_road *road = user;
    return road->tls ? ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, len, user) : 0;
}

const ngtcp2_callbacks h3_callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_crypto_data = on_crypto,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_close = on_stream_close,
    .stream_reset = on_stream_reset,
    .rand = draw,
    .get_new_connection_id = on_new_id,
    .update_key = ngtcp2_crypto_update_key_cb,
    .recv_datagram = on_datagram,
    .extend_max_stream_data = on_stream_window,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};
