/* A client of HTTP/3 on a whole shard, below which the library of QUIC is one of the test's own:
 * the input is what that library would tell, when, and what it takes: bytes of streams, their ends
 * and resets, datagrams, acknowledgements, closed windows. However it is, the rules of conn/check.h
 * hold after each turn, and nothing is held for the client when it has gone. */
#include "fuzz.h"

#include "api/api.h"
#include "carrier/quic_conn.c"
#include "conn/check.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

enum {
    SLOTS = 64,
    PIPE_BYTES = 1 << 12,
    PORT = 7,
    STREAMS = 64, /* of both ends, by number */
    OURS_MAX = 8,
    TICKS_MAX = 400,
    TAKEN_MAX = 900, /* bytes that one write takes */
};

/* What the input says: three bits which of the client's streams, the others what becomes of it. */
enum op {
    OP_DATA,
    OP_DATA_END,
    OP_RESET,
    OP_STOP,
    OP_DATAGRAM,
    OP_TURN,
    OP_WINDOWS, /* opens or closes them */
    OP_TICK,
    OP_COUNT,
};

static struct fake_shard fake;

static struct {
    struct quic *quic;
    struct fake_stream {
        void *user;
        uint64_t received, sent, acked;
        bool is_open, has_input, has_output;
    } streams[STREAMS];
    unsigned ours;
    bool blocked; /* no window is open */
    bool has_packet;
} library;

static struct fake_stream *stream_of(int64_t id)
{
    assert(id >= 0 && id < STREAMS);
    return &library.streams[id];
}

/* ---- the library ---- */

/* What 1.x asks for besides. */
#if NGTCP2_VERSION_NUM >= 0x010000
#define WITH_FLAGS uint32_t flags __attribute__((unused)),
#else
#define WITH_FLAGS
#endif

int ngtcp2_conn_open_uni_stream(ngtcp2_conn *conn, int64_t *ret, void *user)
{
    (void)conn;
    if (library.ours == OURS_MAX)
        return NGTCP2_ERR_STREAM_ID_BLOCKED;
    *ret = (int64_t)library.ours++ * 4 + 3;
    *stream_of(*ret) = (struct fake_stream){.user = user, .is_open = true, .has_output = true};
    return 0;
}

int ngtcp2_conn_set_stream_user_data(ngtcp2_conn *conn, int64_t id, void *user)
{
    (void)conn;
    stream_of(id)->user = user;
    return 0;
}

int ngtcp2_conn_shutdown_stream_write(ngtcp2_conn *conn, WITH_FLAGS int64_t id, uint64_t code)
{
    (void)conn, (void)code;
    stream_of(id)->has_output = false;
    return 0;
}

int ngtcp2_conn_shutdown_stream_read(ngtcp2_conn *conn, WITH_FLAGS int64_t id, uint64_t code)
{
    (void)conn, (void)code;
    stream_of(id)->has_input = false;
    return 0;
}

int ngtcp2_conn_shutdown_stream(ngtcp2_conn *conn, WITH_FLAGS int64_t id, uint64_t code)
{
    quic_shutdown_read(conn, id, code);
    return quic_shutdown_write(conn, id, code);
}

int ngtcp2_conn_extend_max_stream_offset(ngtcp2_conn *conn, int64_t id, uint64_t len)
{
    (void)conn, (void)len;
    assert(stream_of(id)->is_open);
    return 0;
}

void ngtcp2_conn_extend_max_offset(ngtcp2_conn *conn, uint64_t len)
{
    (void)conn, (void)len;
}

void ngtcp2_conn_extend_max_streams_bidi(ngtcp2_conn *conn, size_t count)
{
    (void)conn, (void)count;
}

void ngtcp2_conn_extend_max_streams_uni(ngtcp2_conn *conn, size_t count)
{
    (void)conn, (void)count;
}

ngtcp2_tstamp ngtcp2_conn_get_expiry(ngtcp2_conn *conn)
{
    (void)conn;
    return INT64_MAX;
}

size_t ngtcp2_conn_get_send_quantum(ngtcp2_conn *conn)
{
    (void)conn;
    return 1 << 16;
}

void ngtcp2_conn_update_pkt_tx_time(ngtcp2_conn *conn, ngtcp2_tstamp ts)
{
    (void)conn, (void)ts;
}

void ngtcp2_conn_set_keep_alive_timeout(ngtcp2_conn *conn, ngtcp2_duration timeout)
{
    (void)conn, (void)timeout;
}

void ngtcp2_conn_del(ngtcp2_conn *conn)
{
    (void)conn;
}

const ngtcp2_cid *ngtcp2_conn_get_dcid(ngtcp2_conn *conn)
{
    (void)conn;
    static const ngtcp2_cid cid = {.datalen = 8};
    return &cid;
}

size_t ngtcp2_conn_get_path_max_tx_udp_payload_size(ngtcp2_conn *conn)
{
    (void)conn;
    return QUIC_PATH_BYTES;
}

const ngtcp2_transport_params *ngtcp2_conn_get_remote_transport_params(ngtcp2_conn *conn)
{
    (void)conn;
    static const ngtcp2_transport_params params = {.max_datagram_frame_size = 1 << 16};
    return &params;
}

ngtcp2_ssize ngtcp2_conn_write_connection_close_versioned(ngtcp2_conn *conn, ngtcp2_path *path,
                                                          int version, ngtcp2_pkt_info *about,
                                                          uint8_t *dest, size_t size,
                                                          const quic_close_error *error,
                                                          ngtcp2_tstamp ts)
{
    (void)conn, (void)path, (void)version, (void)about, (void)dest, (void)size, (void)error;
    (void)ts;
    return 0;
}

/* A packet that has something in it is the caller's. */
static ngtcp2_ssize packet_end(ngtcp2_path *path, uint8_t *dest)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    if (!library.has_packet)
        return 0;
    library.has_packet = false;
    dest[0] = 0;
    memcpy(path->remote.addr, &any, sizeof any);
    memcpy(path->local.addr, &any, sizeof any);
    return 1;
}

static size_t sum(const ngtcp2_vec *vectors, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += vectors[i].len;
    return bytes;
}

ngtcp2_ssize ngtcp2_conn_writev_stream_versioned(ngtcp2_conn *conn, ngtcp2_path *path, int version,
                                                 ngtcp2_pkt_info *about, uint8_t *dest, size_t size,
                                                 ngtcp2_ssize *taken, uint32_t flags, int64_t id,
                                                 const ngtcp2_vec *vectors, size_t count,
                                                 ngtcp2_tstamp ts)
{
    (void)conn, (void)version, (void)about, (void)size, (void)ts;
    *taken = -1;
    if (id < 0)
        return packet_end(path, dest);
    struct fake_stream *stream = stream_of(id);
    size_t bytes = sum(vectors, count);
    if (!stream->is_open)
        return NGTCP2_ERR_STREAM_NOT_FOUND;
    if (!stream->has_output)
        return NGTCP2_ERR_STREAM_SHUT_WR;
    if (library.blocked && bytes > 0)
        return NGTCP2_ERR_STREAM_DATA_BLOCKED;
    bool all = bytes <= TAKEN_MAX;
    *taken = (ngtcp2_ssize)(all ? bytes : TAKEN_MAX);
    stream->sent += (uint64_t)*taken;
    if (all && flags & NGTCP2_WRITE_STREAM_FLAG_FIN)
        stream->has_output = false;
    library.has_packet = true;
    return all ? NGTCP2_ERR_WRITE_MORE : packet_end(path, dest);
}

ngtcp2_ssize ngtcp2_conn_writev_datagram_versioned(ngtcp2_conn *conn, ngtcp2_path *path,
                                                   int version, ngtcp2_pkt_info *about,
                                                   uint8_t *dest, size_t size, int *taken,
                                                   uint32_t flags, uint64_t id,
                                                   const ngtcp2_vec *vectors, size_t count,
                                                   ngtcp2_tstamp ts)
{
    (void)conn, (void)version, (void)about, (void)size, (void)flags, (void)id, (void)ts;
    *taken = !library.blocked;
    assert(sum(vectors, count) < QUIC_PATH_BYTES && "it fits");
    library.has_packet |= *taken;
    return *taken ? NGTCP2_ERR_WRITE_MORE : packet_end(path, dest);
}

/* ---- the shard ---- */

static void setup(void)
{
    char why[256];
    struct origins *origins;
    fake_shard_init(&fake);
    fake.settings.head_timeout_ms = fake.settings.idle_timeout_ms = 1000;
    fake.settings.heartbeat_ms = fake.settings.stall_timeout_ms = 1000;
    fake.settings.body_timeout_ms = 1000;
    fake.settings.echo = fake.settings.websocket_publish = true;
    int err = origins_create(&origins, "*", why, sizeof why);
    assert(err == 0);
    fake.server.transports = server_transports;
    fake.server.routes = server_routes;
    fake.server.batch_begin = encoder_begin;
    fake.server.batch_done = encoder_release;
    fake.server.batch_end = encoder_done;
    fake.server.answers_turn = answering_turn;
    fake.server.origins = origins;
    fake.server.quic = quic_library_create();
    assert(fake.server.quic);
    fake.server.datagrams[DATAGRAM_QUIC] = &quic_datagrams;
    fake_shard_start(&fake, SLOTS, PIPE_BYTES);
    err = shard_datagrams(fake.shard, DATAGRAM_QUIC, PORT);
    assert(err == 0);
    /* For who looks for leaks and does not look into the slab. */
    static struct carrier *volatile kept;
    kept = conn_carrier(fake.shard, conn_at(fake.shard, quic_port_of(fake.shard)->carrier.slot));
    assert(kept);
}

/* As quic_begin does it, behind a handshake. */
static void begin(void)
{
    struct quic_port *port = quic_port_of(fake.shard);
    struct conn *line = stream_open(fake.shard, &port->carrier, 1);
    assert(line);
    line->link |= LINK_END_SENT | LINK_INPUT_ENDED;
    line->transport = TRANSPORT_QUIC;
    fake.shard->live++;
    counter_add(&fake.shard->counters.quic_connections, 1);
    memset(&library, 0, sizeof library);
    library.quic = attach(port, line);
    assert(library.quic);
    library.quic->conn = (ngtcp2_conn *)&library;
    int err = quic_callbacks.handshake_completed(library.quic->conn, library.quic);
    assert(err == 0);
    carrier_due(fake.shard, &library.quic->carrier);
}

static bool is_alive(void)
{
    return counter_read(&fake.shard->counters.quic_connections) > 0;
}

/* ---- what the library tells ---- */

/* As quic_read does it. Returns whether the connection goes on. */
static bool told(int err)
{
    struct quic *quic = library.quic;
    quic->is_busy = false;
    if (quic->is_dead)
        quic_free(quic);
    else if (err != 0)
        end_by(quic, err);
    else
        carrier_due(fake.shard, &quic->carrier);
    return is_alive();
}

static bool tell_data(int64_t id, struct span bytes, bool end)
{
    struct fake_stream *stream = stream_of(id);
    struct quic *quic = library.quic;
    int err = 0;
    quic->is_busy = true;
    if (!stream->is_open && stream->received == 0) {
        *stream = (struct fake_stream){.is_open = true, .has_input = true, .has_output = !(id & 2)};
        err = quic_callbacks.stream_open(quic->conn, id, quic);
    }
    if (err == 0 && stream->is_open && stream->has_input) {
        stream->has_input &= !end;
        uint64_t offset = stream->received;
        stream->received += bytes.len + 1;
        err = quic_callbacks.recv_stream_data(quic->conn, end ? NGTCP2_STREAM_DATA_FLAG_FIN : 0, id,
                                              offset, (const uint8_t *)bytes.ptr, bytes.len, quic,
                                              stream->user);
    }
    return told(err);
}

static bool tell_reset(int64_t id, bool stop)
{
    struct fake_stream *stream = stream_of(id);
    struct quic *quic = library.quic;
    if (!stream->is_open || (stop ? !stream->has_output : !stream->has_input))
        return true;
    quic->is_busy = true;
    int err;
    if (stop) {
        stream->has_output = false;
        err = quic_callbacks.stream_stop_sending(quic->conn, id, 0, quic, stream->user);
    } else {
        stream->has_input = false;
        err = quic_callbacks.stream_reset(quic->conn, id, stream->received, 0, quic, stream->user);
    }
    return told(err);
}

static bool tell_datagram(struct span bytes)
{
    struct quic *quic = library.quic;
    quic->is_busy = true;
    return told(
        quic_callbacks.recv_datagram(quic->conn, 0, (const uint8_t *)bytes.ptr, bytes.len, quic));
}

/* All that was sent is acknowledged; streams that are over on both sides close. */
static bool tell_acks(void)
{
    struct quic *quic = library.quic;
    for (int64_t id = 0; id < STREAMS; id++) {
        struct fake_stream *stream = stream_of(id);
        int err = 0;
        if (!stream->is_open)
            continue;
        quic->is_busy = true;
        if (stream->sent > stream->acked)
            err = quic_callbacks.acked_stream_data_offset(
                quic->conn, id, stream->acked, stream->sent - stream->acked, quic, stream->user);
        stream->acked = stream->sent;
        if (err == 0 && !stream->has_input && !stream->has_output) {
            stream->is_open = false;
            err = quic_callbacks.stream_close(quic->conn, 0, id, 0, quic, stream->user);
        }
        if (!told(err))
            return false;
    }
    return true;
}

static bool tell_windows(void)
{
    struct quic *quic = library.quic;
    library.blocked = !library.blocked;
    for (int64_t id = 0; !library.blocked && id < STREAMS; id++) {
        if (!stream_of(id)->is_open || !stream_of(id)->has_output)
            continue;
        quic->is_busy = true;
        if (!told(quic_callbacks.extend_max_stream_data(quic->conn, id, UINT64_MAX, quic,
                                                        stream_of(id)->user)))
            return false;
    }
    return true;
}

static void check(void)
{
    uint32_t slot;
    const char *broken = shard_check(fake.shard, &slot);
    assert(!broken);
}

static bool turn(void)
{
    fake_shard_turn(&fake);
    check();
    return is_alive() && tell_acks();
}

/* The next piece of the input, as long as its first byte says. */
/* In a block of its own, which may be written to as the library's own may: frames are unmasked
 * where they lie. It stays until the next. */
static struct span piece_of(struct span *input)
{
    static char *copy;
    size_t len = fuzz_choice(input);
    if (len > input->len)
        len = input->len;
    free(copy);
    copy = malloc(len + 1);
    assert(copy);
    if (len > 0)
        memcpy(copy, input->ptr, len);
    *input = span_skip(*input, len);
    return span_of(copy, len);
}

static bool step(struct span *input)
{
    uint8_t choice = fuzz_choice(input);
    int64_t id = (choice & 7) * 2;
    switch ((enum op)((choice >> 3) % OP_COUNT)) {
    case OP_DATA:
        return tell_data(id, piece_of(input), false);
    case OP_DATA_END:
        return tell_data(id, piece_of(input), true);
    case OP_RESET:
        return tell_reset(id, false);
    case OP_STOP:
        return tell_reset(choice & 1 ? 3 + 4 * (id / 4) : id, true);
    case OP_DATAGRAM:
        return tell_datagram(piece_of(input));
    case OP_TURN:
        return turn();
    case OP_WINDOWS:
        return tell_windows();
    case OP_TICK:
        fake_shard_tick(&fake);
        check();
        return is_alive();
    case OP_COUNT:
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    if (!fake.shard)
        setup();
    begin();
    bool goes_on = true;
    while (goes_on && input.len > 0)
        goes_on = step(&input);
    for (unsigned i = 0; i < TICKS_MAX && is_alive(); i++)
        fake_shard_tick(&fake);
    if (is_alive())
        quic_end_http3(library.quic, HTTP3_NO_ERROR, CLOSE_DONE);
    fake_shard_turn(&fake);
    check();
    assert(fake.shard->live == 0 && counter_read(&fake.shard->counters.webtransports) == 0);
    assert(fake.shard->streams.open == 0);
    for (int i = 0; i < BUDGET_COUNT; i++)
        assert(fake.shard->budgets[i].bytes == 0);
    return 0;
}
