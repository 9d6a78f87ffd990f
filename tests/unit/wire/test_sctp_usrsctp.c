/* An end of ours and one of usrsctp, which browsers had for ten years, under loss, reordering and
 * duplication, in virtual time: it takes its time from gettimeofday, and that is here. Whatever was
 * sent reliably arrives once, whole and in order, both ways; what may be lost arrives at most once,
 * whole; in the end both shut down. Only what we send may be lost: see has_stopped.
 *
 *     test_wire_sctp_usrsctp [--seed N] [--count M]
 *
 * Without arguments some seeds. A failure names its seed. What the library draws by itself, tags
 * and TSNs, is not of the seed. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "feed.h"
#include "wire/sctp.h"

/* Behind ours: its macros have the names of our constants. */
#include <usrsctp.h>

enum {
    SEEDS = 40,
    PORT = 5000,
    STREAMS = 4,       /* 1 and 3 unordered; 2 and 3, what we send, partly reliable */
    MESSAGES_MAX = 60, /* of an end */
    HEAD = 12,         /* of a message: stream, number, length */
    LONG_MAX = 8000,
    WIRE_MAX = 4096,
    TICK_MS = 10,
    STOPPED_MS = 600 * 1000,
    STOPPED_PERCENT_MAX = 10, /* of seeds */
    FIRST_CHUNK_AT = 12,
    HEARTBEAT = 4,
    GIVE_UP_MS = 3600 * 1000,
    RELIABLE = 2, /* of the streams */
    OURS = 0,
    THEIRS = 1,
};
#define MS UINT64_C(1000000)

struct stream {
    uint32_t sent, next, got;
    uint8_t seen[MESSAGES_MAX];
};

struct packet {
    uint64_t at;
    unsigned to;
    size_t len;
    uint8_t bytes[2048];
};

static struct {
    struct sctp sctp;
    struct socket *socket, *listener;
    uint64_t seed, now, tick_at, delay_ns, jitter_ns;
    unsigned lost, twice, late; /* of a thousand */
    struct packet *wire[WIRE_MAX];
    unsigned wire_count;
    struct stream streams[2][STREAMS]; /* by who sends */
    unsigned to_send[2];
    uint64_t heard_at;            /* the last packet of theirs left, but for heartbeats */
    bool has_ended, has_given_up; /* theirs */
} sim;

static uint64_t total_sent, total_got, total_lost, total_stopped;
static uint64_t ticks; /* of the library's clock */

/* The library's clock goes by its ticks: else a timer may go off some ms before what it is for is
 * as old, and the library waits once more, twice as long. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    (void)tz;
    uint64_t us = UINT64_C(1000000000000) + ticks * TICK_MS * 1000;
    tv->tv_sec = (time_t)(us / 1000000);
    tv->tv_usec = (suseconds_t)(us % 1000000);
    return 0;
}

static unsigned chance(void)
{
    return (unsigned)(random_next(&sim.seed) % 1000);
}

/* ---- the network ---- */

static void wire_put(unsigned to, const void *bytes, size_t len)
{
    struct packet *packet = malloc(sizeof *packet);
    assert(packet && sim.wire_count < WIRE_MAX && len <= sizeof packet->bytes);
    *packet = (struct packet){.at = sim.now + sim.delay_ns, .to = to, .len = len};
    if (chance() < sim.late)
        packet->at += random_next(&sim.seed) % (sim.jitter_ns + 1);
    memcpy(packet->bytes, bytes, len);
    sim.wire[sim.wire_count++] = packet;
}

static void send_on(unsigned to, const void *bytes, size_t len)
{
    if (chance() < sim.lost) {
        total_lost++;
        return;
    }
    wire_put(to, bytes, len);
    if (chance() < sim.twice)
        wire_put(to, bytes, len);
}

/* The library holds locks here: nothing is given to it before it has returned. */
static int on_output(void *context, void *bytes, size_t len, uint8_t tos, uint8_t set_df)
{
    (void)context, (void)tos, (void)set_df;
    if (((const uint8_t *)bytes)[FIRST_CHUNK_AT] != HEARTBEAT)
        sim.heard_at = sim.now;
    send_on(OURS, bytes, len);
    return 0;
}

static void flush(void)
{
    uint8_t bytes[SCTP_PACKET_MAX];
    size_t len;
    while ((len = sctp_output(&sim.sctp, sim.now, bytes)) > 0)
        send_on(THEIRS, bytes, len);
}

/* ---- messages ---- */

static bool unordered(unsigned stream)
{
    return stream == 1 || stream == 3;
}

static uint8_t filler(uint32_t number, size_t at)
{
    return (uint8_t)(number * 31 + at * 7 + at / 251);
}

static void arrived(unsigned from, unsigned number, const uint8_t *bytes, size_t len)
{
    uint32_t head[3];
    assert(number < STREAMS && len >= HEAD);
    struct stream *stream = &sim.streams[from][number];
    memcpy(head, bytes, sizeof head);
    assert(head[0] == number && head[1] < stream->sent && head[2] == len);
    for (size_t i = HEAD; i < len; i++)
        assert(bytes[i] == filler(head[1], i));
    assert(!stream->seen[head[1]]++);
    if (number == 0)
        assert(head[1] == stream->next);
    else if (!unordered(number))
        assert(head[1] >= stream->next);
    stream->next = head[1] + 1;
    stream->got++;
    total_got++;
}

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    (void)sctp;
    arrived(THEIRS, message->stream, (const uint8_t *)message->bytes.ptr, message->bytes.len);
}

static void on_stream(struct sctp *sctp, uint16_t number)
{
    (void)sctp, (void)number;
}

static const struct sctp_ops ops = {on_message, on_stream, on_stream};

static size_t make(unsigned from, unsigned number, uint8_t bytes[HEAD + LONG_MAX])
{
    uint32_t most = random_next(&sim.seed) % 10 < 7 ? 200 : LONG_MAX;
    uint32_t head[3] = {number, sim.streams[from][number].sent,
                        HEAD + (uint32_t)(random_next(&sim.seed) % most)};
    for (size_t i = HEAD; i < head[2]; i++)
        bytes[i] = filler(head[1], i);
    memcpy(bytes, head, sizeof head);
    return head[2];
}

/* Returns whether it was taken. */
static bool ours_send(unsigned number, const uint8_t *bytes, size_t len)
{
    const struct sctp_message message = {
        .stream = (uint16_t)number,
        .unordered = unordered(number),
        .payload = 53,
        .bytes = {(const char *)bytes, len},
    };
    struct sctp_effort effort =
        number < RELIABLE ? SCTP_RELIABLE : (struct sctp_effort){1, SCTP_NEVER};
    int err = sctp_send(&sim.sctp, &message, effort);
    assert(err == 0 || err == -ENOBUFS);
    return err == 0;
}

static bool theirs_send(unsigned number, const uint8_t *bytes, size_t len)
{
    struct sctp_sendv_spa how = {.sendv_flags = SCTP_SEND_SNDINFO_VALID};
    how.sendv_sndinfo.snd_sid = (uint16_t)number;
    how.sendv_sndinfo.snd_ppid = htonl(53);
    how.sendv_sndinfo.snd_flags = unordered(number) ? SCTP_UNORDERED : 0;
    ssize_t taken =
        usrsctp_sendv(sim.socket, bytes, len, NULL, 0, &how, sizeof how, SCTP_SENDV_SPA, 0);
    assert(taken == (ssize_t)len || errno == EWOULDBLOCK || errno == EAGAIN);
    return taken == (ssize_t)len;
}

static void say(unsigned from)
{
    static uint8_t bytes[HEAD + LONG_MAX];
    unsigned burst = (unsigned)(random_next(&sim.seed) % 6);
    for (unsigned i = 0; i < burst && sim.to_send[from] > 0; i++) {
        unsigned number = (unsigned)(random_next(&sim.seed) % STREAMS);
        size_t len = make(from, number, bytes);
        /* Counted before: what it says may arrive at once. */
        sim.streams[from][number].sent++;
        bool taken = from == OURS ? ours_send(number, bytes, len) : theirs_send(number, bytes, len);
        if (!taken) {
            sim.streams[from][number].sent--;
            return;
        }
        sim.to_send[from]--;
        total_sent++;
    }
}

/* ---- theirs ---- */

static void option(struct socket *socket, int name, const void *value, socklen_t len)
{
    int err = usrsctp_setsockopt(socket, IPPROTO_SCTP, name, value, len);
    assert(err == 0);
}

static struct socket *theirs_make(void)
{
    const struct sctp_initmsg streams = {.sinit_num_ostreams = 16, .sinit_max_instreams = 16};
    struct sctp_paddrparams path = {.spp_flags = SPP_PMTUD_DISABLE, .spp_pathmtu = 1180};
    struct sockaddr_conn own = {.sconn_family = AF_CONN, .sconn_port = htons(PORT)};
    const int on = 1;
    own.sconn_addr = &sim;
    struct socket *socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    assert(socket);
    usrsctp_set_non_blocking(socket, 1);
    option(socket, SCTP_INITMSG, &streams, sizeof streams);
    option(socket, SCTP_NODELAY, &on, sizeof on);
    option(socket, SCTP_RECVRCVINFO, &on, sizeof on);
    option(socket, SCTP_PEER_ADDR_PARAMS, &path, sizeof path);
    int err = usrsctp_bind(socket, (struct sockaddr *)&own, sizeof own);
    assert(err == 0);
    return socket;
}

/* In half of the seeds the library connects, as browsers did, else we do. */
static void begin(bool theirs_connects)
{
    struct sockaddr_conn peer = {.sconn_family = AF_CONN, .sconn_port = htons(PORT)};
    peer.sconn_addr = &sim;
    struct socket *socket = theirs_make();
    if (theirs_connects) {
        int err = usrsctp_connect(socket, (struct sockaddr *)&peer, sizeof peer);
        assert(err == 0 || errno == EINPROGRESS);
        sim.socket = socket;
    } else {
        int err = usrsctp_listen(socket, 1);
        assert(err == 0);
        sim.listener = socket;
        sctp_connect(&sim.sctp, sim.now);
    }
}

static void theirs_read(void)
{
    static uint8_t bytes[2 * (HEAD + LONG_MAX)];
    static size_t len;
    while (sim.socket && !sim.has_ended) {
        struct sctp_rcvinfo info = {0};
        socklen_t from_len = 0, info_len = sizeof info;
        unsigned type = 0;
        int flags = 0;
        ssize_t got = usrsctp_recvv(sim.socket, bytes + len, sizeof bytes - len, NULL, &from_len,
                                    &info, &info_len, &type, &flags);
        if (got <= 0) {
            sim.has_given_up = got < 0 && (errno == ECONNABORTED || errno == ECONNRESET);
            assert(got == 0 || errno == EWOULDBLOCK || errno == EAGAIN || errno == ENOTCONN ||
                   sim.has_given_up);
            sim.has_ended = got == 0 || sim.has_given_up;
            return;
        }
        len += (size_t)got;
        if (!(flags & MSG_EOR))
            continue;
        assert(type == SCTP_RECVV_RCVINFO && ntohl(info.rcv_ppid) == 53);
        arrived(OURS, info.rcv_sid, bytes, len);
        len = 0;
    }
}

/* ---- time ---- */

static void take(unsigned at)
{
    struct packet *packet = sim.wire[at];
    sim.wire[at] = sim.wire[--sim.wire_count];
    if (packet->to == THEIRS) {
        usrsctp_conninput(&sim, packet->bytes, packet->len, 0);
    } else {
        int err = sctp_input(&sim.sctp, sim.now, packet->bytes, packet->len);
        assert(err == 0 || err == SCTP_TAG);
    }
    free(packet);
}

static void step(void)
{
    unsigned first = WIRE_MAX;
    uint64_t at = sim.tick_at;
    for (unsigned i = 0; i < sim.wire_count; i++)
        if (sim.wire[i]->at < at)
            first = i, at = sim.wire[i]->at;
    uint64_t due = sctp_deadline(&sim.sctp);
    if (due <= at) {
        sim.now = due > sim.now ? due : sim.now;
        sctp_timer(&sim.sctp, sim.now);
    } else if (first < WIRE_MAX) {
        sim.now = at;
        take(first);
    } else {
        sim.now = sim.tick_at;
        sim.tick_at += TICK_MS * MS;
        ticks++;
        usrsctp_handle_timers(TICK_MS);
        if (sctp_open(&sim.sctp))
            say(OURS);
        if (sim.socket && !sim.has_ended && sctp_open(&sim.sctp))
            say(THEIRS);
    }
    if (sim.listener && !sim.socket)
        sim.socket = usrsctp_accept(sim.listener, NULL, NULL);
    flush();
    theirs_read();
}

static bool all_of(unsigned from)
{
    bool all = sim.to_send[from] == 0;
    for (unsigned i = 0; i < RELIABLE; i++)
        all &= sim.streams[from][i].got == sim.streams[from][i].sent;
    return all;
}

/* Behind losses the library sometimes stops for good in the middle of its queue, with an open
 * window and nothing under way, or counts its timers as errors and ends the association. What it
 * has sent has arrived, and that is what is asked of us. */
static bool has_stopped(void)
{
    return sim.has_given_up || sim.now - sim.heard_at > STOPPED_MS * MS;
}

static bool all_arrived(void)
{
    bool ours = all_of(OURS) && !sim.sctp.queue && !sim.sctp.sent;
    return sim.has_given_up || (ours && (all_of(THEIRS) || has_stopped()));
}

static bool both_over(void)
{
    return sctp_ended(&sim.sctp) != SCTP_LIVES && sim.has_ended;
}

static void until(bool (*condition)(void), bool lives)
{
    uint64_t last = sim.now + GIVE_UP_MS * MS;
    while (!condition()) {
        assert(!lives || (sctp_ended(&sim.sctp) == SCTP_LIVES && !sim.has_ended) ||
               sim.has_given_up);
        step();
        assert(sim.now < last);
    }
}

/* ---- a seed ---- */

static void end(bool ours_closes)
{
    if (has_stopped()) {
        total_stopped++;
        sctp_abort(&sim.sctp);
        flush();
        return;
    }
    if (ours_closes)
        sctp_close(&sim.sctp);
    else
        usrsctp_shutdown(sim.socket, SHUT_WR);
    flush();
    until(both_over, false);
    /* Whose last word was lost hears that there is no association any more. */
    assert(sctp_ended(&sim.sctp) == SCTP_END_SHUTDOWN || sctp_ended(&sim.sctp) == SCTP_END_ABORTED);
}

static void run(uint64_t seed)
{
    static const struct sctp_settings settings = {
        .message_bytes_max = 65536,
        .send_bytes_max = 1 << 20,
        .receive_bytes_max = 256 << 10,
    };
    uint64_t now = sim.now;
    memset(&sim, 0, sizeof sim);
    sim.now = now + MS;
    sim.tick_at = sim.now + TICK_MS * MS;
    sim.seed = seed;
    sim.heard_at = sim.now;
    uint32_t tsn = seed % 3 == 0 ? UINT32_MAX - 40 : (uint32_t)random_next(&sim.seed);
    sctp_init(&sim.sctp, &settings, &ops, PORT, (uint32_t)random_next(&sim.seed) | 1, tsn);
    sim.lost = (unsigned)(random_next(&sim.seed) % 5 * 50); /* up to 20 % */
    sim.twice = (unsigned)(random_next(&sim.seed) % 3 * 30);
    sim.late = (unsigned)(random_next(&sim.seed) % 3 * 100);
    sim.delay_ns = (1 + random_next(&sim.seed) % 80) * MS;
    sim.jitter_ns = random_next(&sim.seed) % (100 * MS);
    for (unsigned i = 0; i < 2; i++)
        sim.to_send[i] = (unsigned)(random_next(&sim.seed) % MESSAGES_MAX);
    usrsctp_register_address(&sim);
    begin(seed % 2 == 0);
    until(all_arrived, true);
    end(seed % 4 < 2);
    usrsctp_close(sim.socket);
    if (sim.listener)
        usrsctp_close(sim.listener);
    sctp_done(&sim.sctp);
    for (unsigned i = 0; i < sim.wire_count; i++)
        free(sim.wire[i]);
    sim.wire_count = 0;
    usrsctp_deregister_address(&sim);
}

static void finish(void)
{
    for (unsigned i = 0; i < 100000 && usrsctp_finish() < 0; i++) {
        ticks++;
        usrsctp_handle_timers(TICK_MS);
    }
    for (unsigned i = 0; i < sim.wire_count; i++)
        free(sim.wire[i]);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = SEEDS;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0)
            count = strtoull(argv[i + 1], NULL, 10);
    }
    usrsctp_init_nothreads(0, on_output, NULL);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    for (uint64_t seed = first; seed < first + count; seed++) {
        printf("\rseed %llu ", (unsigned long long)seed);
        fflush(stdout);
        run(seed);
    }
    finish();
    printf("\r%llu seeds: %llu messages sent, %llu arrived; %llu packets lost; "
           "the library stopped %llu times\n",
           (unsigned long long)count, (unsigned long long)total_sent, (unsigned long long)total_got,
           (unsigned long long)total_lost, (unsigned long long)total_stopped);
    assert(total_stopped * 100 <= count * STOPPED_PERCENT_MAX);
    return 0;
}
