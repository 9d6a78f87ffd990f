#include "fuzz.h"
#include "sctp_pair.h"
#include "wire/sctp_internal.h"

enum {
    STEPS_MAX = 200,
    HELD_MAX = (256 << 10) + 2 * 65536, /* sctp_reassembly.c */
};

static struct pair pair;

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    assert(message->bytes.len > 0 && message->bytes.len <= 65536);
    assert(message->stream < SCTP_STREAMS_MAX);
    /* An echo of one end, so that acknowledgements that were made up meet something. */
    if (pair_end_of(sctp)->number == 0)
        return;
    struct sctp_effort effort = {message->payload % 4, pair.now + 300 * PAIR_MS};
    (void)sctp_send(sctp, message, message->stream % 2 ? effort : SCTP_RELIABLE);
}

static void on_reset(struct sctp *sctp, uint16_t stream)
{
    assert(stream < SCTP_STREAMS_MAX);
    (void)sctp_reset(sctp, stream);
}

static void on_reusable(struct sctp *sctp, uint16_t stream)
{
    (void)sctp;
    assert(stream < SCTP_STREAMS_MAX);
}

static const struct sctp_ops ops = {on_message, on_reset, on_reusable};

static struct span bytes_take(struct span *input, size_t most)
{
    size_t len = fuzz_choice(input) * (size_t)8;
    len = len < most ? len : most;
    len = len < input->len ? len : input->len;
    struct span bytes = {input->ptr, len};
    *input = span_skip(*input, len);
    return bytes;
}

/* Chunks of the input's choice, in a packet that is right otherwise. */
static void give(unsigned to, struct span chunks)
{
    uint8_t packet[SCTP_PACKET_MAX];
    struct sctp_writer writer;
    struct sctp *sctp = &pair.ends[to].sctp;
    bool init = chunks.len > 0 && chunks.ptr[0] == SCTP_INIT;
    struct sctp_head head = {5000, 5000, init ? 0 : sctp->own_tag};
    sctp_packet_begin(&writer, packet, sizeof packet, &head);
    memcpy(packet + writer.at, chunks.ptr, chunks.len & ~(size_t)3);
    writer.at += chunks.len & ~(size_t)3;
    (void)sctp_input(sctp, pair.now, packet, sctp_packet_end(&writer));
    pair_flush(&pair, to);
}

static void send_some(unsigned from, uint8_t choice)
{
    static const char letters[4096];
    struct sctp_message message = {
        .stream = choice % SCTP_STREAMS_MAX,
        .unordered = choice & 0x10,
        .payload = 51,
        .bytes = {letters, (size_t)choice * 16 + 1},
    };
    (void)sctp_send(&pair.ends[from].sctp, &message, SCTP_RELIABLE);
    pair_flush(&pair, from);
}

static void check(void)
{
    for (unsigned i = 0; i < 2; i++)
        assert(pair.ends[i].sctp.held_bytes <= HELD_MAX);
}

/* Two ends of a live association, one of which gets chunks that the other never sent. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input);
    static const struct sctp_settings parking = {65536, 1 << 20, 256 << 10, 0};
    bool parks = choice & 4;
    pair_init(&pair, 1, parks ? &parking : &pair_settings, &ops, choice & 1 ? UINT32_MAX - 3 : 100);
    pair.parks = parks;
    if (choice & 2)
        pair_run(&pair, 50 * PAIR_MS);
    for (unsigned step = 0; step < STEPS_MAX && input.len > 0; step++) {
        choice = fuzz_choice(&input);
        unsigned end = choice & 1;
        if (choice < 0x80)
            give(end, bytes_take(&input, SCTP_PACKET_MAX - SCTP_HEAD_SIZE));
        else if (choice < 0xc0)
            send_some(end, fuzz_choice(&input));
        else if (choice < 0xe0)
            pair_run(&pair, (uint64_t)(choice & 0x1f) * 20 * PAIR_MS);
        else if (choice < 0xf0)
            (void)sctp_reset(&pair.ends[end].sctp, choice >> 1 & 7);
        else if (choice == 0xf0 || choice == 0xf1)
            sctp_close(&pair.ends[end].sctp);
        check();
    }
    pair_done(&pair);
    return 0;
}
