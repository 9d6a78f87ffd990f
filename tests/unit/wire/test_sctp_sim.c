/* Two ends under loss, reordering and duplication, in virtual time: whatever was sent reliably
 * arrives once, whole and in order; what may be lost arrives at most once, whole; streams begin
 * anew in between; in the end both shut down, and hold nothing. With half of the seeds an end is
 * parked whenever it is idle, and woken.
 *
 *     test_wire_sctp_sim [--seed N] [--count M]
 *
 * Without arguments some hundred seeds. A failure names its seed. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "sctp_pair.h"

enum {
    SEEDS = 300,
    STREAMS = 6,        /* 0, 1: reliable; 2, 3: unordered; 4, 5: partly reliable */
    MESSAGES_MAX = 120, /* of an end */
    HEAD = 12,          /* of a message: end and stream, number, length */
    LONG_MAX = 20000,
    GIVE_UP_S = 3600,
};

struct stream {
    uint32_t sent, next; /* numbers of messages; `next` is expected, of those in order */
    uint32_t got;
    uint8_t seen[MESSAGES_MAX];
    bool reset_asked, reset_heard;
};

struct side {
    struct stream streams[STREAMS];
    unsigned to_send;
    uint64_t next_at;
    bool may_reset;
};

struct sim {
    struct pair pair;
    struct side sides[2]; /* what each end sends; what arrives of it is noted here, too */
    uint64_t seed;
};

static uint64_t totals[5]; /* messages sent and got, packets, losses, parkings */

static const struct sctp_settings parking_settings = {
    .message_bytes_max = 65536,
    .send_bytes_max = 1 << 20,
    .receive_bytes_max = 256 << 10,
};

static bool reliable(unsigned stream)
{
    return stream < 4;
}

static bool unordered(unsigned stream)
{
    return stream == 2 || stream == 3 || stream == 5;
}

static uint8_t filler(uint32_t number, size_t at)
{
    return (uint8_t)(number * 31 + at * 7 + at / 251);
}

/* ---- what arrives ---- */

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    struct pair_end *end = pair_end_of(sctp);
    struct sim *sim = end->pair->owner;
    struct stream *stream = &sim->sides[!end->number].streams[message->stream];
    const uint8_t *bytes = (const uint8_t *)message->bytes.ptr;
    uint32_t head[3];
    assert(message->stream < STREAMS && message->bytes.len >= HEAD);
    memcpy(head, bytes, sizeof head);
    assert(head[0] == (unsigned)!end->number * 16 + message->stream);
    assert(head[1] < stream->sent && head[2] == message->bytes.len);
    assert(message->payload == head[1] % 2 + 51);
    assert(message->unordered == unordered(message->stream));
    for (size_t i = HEAD; i < message->bytes.len; i++)
        assert(bytes[i] == filler(head[1], i));
    assert(!stream->seen[head[1]]++);
    if (reliable(message->stream) && !unordered(message->stream))
        assert(head[1] == stream->next);
    else if (!unordered(message->stream))
        assert(head[1] >= stream->next);
    stream->next = head[1] + 1;
    stream->got++;
    totals[1]++;
}

static void on_reset(struct sctp *sctp, uint16_t number)
{
    struct pair_end *end = pair_end_of(sctp);
    struct sim *sim = end->pair->owner;
    struct stream *stream = &sim->sides[!end->number].streams[number];
    assert(stream->reset_asked && !stream->reset_heard);
    if (reliable(number))
        assert(stream->got == stream->sent);
    stream->reset_heard = true;
}

static void on_reusable(struct sctp *sctp, uint16_t number)
{
    struct pair_end *end = pair_end_of(sctp);
    struct sim *sim = end->pair->owner;
    struct stream *stream = &sim->sides[end->number].streams[number];
    assert(stream->reset_asked && stream->reset_heard);
    stream->reset_asked = stream->reset_heard = false;
}

static const struct sctp_ops ops = {on_message, on_reset, on_reusable};

/* ---- what is sent ---- */

static uint32_t length(struct sim *sim)
{
    uint64_t kind = random_next(&sim->seed) % 10;
    uint32_t most = kind < 6 ? 200 : kind < 9 ? 3000 : LONG_MAX;
    return HEAD + (uint32_t)(random_next(&sim->seed) % most);
}

static struct sctp_effort effort(struct sim *sim, unsigned stream)
{
    if (reliable(stream))
        return SCTP_RELIABLE;
    if (stream == 4)
        return (struct sctp_effort){random_next(&sim->seed) % 3, SCTP_NEVER};
    return (struct sctp_effort){UINT32_MAX,
                                sim->pair.now + random_next(&sim->seed) % (300 * PAIR_MS)};
}

static void send_one(struct sim *sim, unsigned from)
{
    static uint8_t bytes[HEAD + LONG_MAX];
    struct side *side = &sim->sides[from];
    unsigned number = (unsigned)(random_next(&sim->seed) % STREAMS);
    struct stream *stream = &side->streams[number];
    uint32_t head[3] = {from * 16 + number, stream->sent, length(sim)};
    for (size_t i = HEAD; i < head[2]; i++)
        bytes[i] = filler(head[1], i);
    memcpy(bytes, head, sizeof head);
    struct sctp_message message = {
        .stream = (uint16_t)number,
        .unordered = unordered(number),
        .payload = head[1] % 2 + 51,
        .bytes = {(const char *)bytes, head[2]},
    };
    int err = sctp_send(&sim->pair.ends[from].sctp, &message, effort(sim, number));
    assert(err == 0 || err == -ENOBUFS || (err == -EBUSY && stream->reset_asked));
    if (err < 0)
        return;
    stream->sent++;
    side->to_send--;
    totals[0]++;
}

static void act(struct sim *sim, unsigned from)
{
    struct side *side = &sim->sides[from];
    unsigned burst = 1 + (unsigned)(random_next(&sim->seed) % 8);
    for (unsigned i = 0; i < burst && side->to_send > 0; i++)
        send_one(sim, from);
    unsigned number = (unsigned)(random_next(&sim->seed) % STREAMS);
    if (side->may_reset && random_next(&sim->seed) % 8 == 0 && !side->streams[number].reset_asked) {
        side->streams[number].reset_asked = true;
        int err = sctp_reset(&sim->pair.ends[from].sctp, (uint16_t)number);
        assert(err == 0);
    }
    side->next_at = sim->pair.now + random_next(&sim->seed) % (200 * PAIR_MS);
    pair_flush(&sim->pair, from);
}

static bool quiet(const struct sim *sim)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct sctp *sctp = &sim->pair.ends[i].sctp;
        if (sim->sides[i].to_send > 0 || sctp->sent || sctp->queue || sctp->reset_asked ||
            sctp->reset_wanted)
            return false;
    }
    return true;
}

/* Goes on until the condition holds. */
static void until(struct sim *sim, bool (*condition)(const struct sim *))
{
    uint64_t last = sim->pair.now + (uint64_t)GIVE_UP_S * 1000 * PAIR_MS;
    while (!condition(sim)) {
        uint64_t next = last;
        for (unsigned i = 0; i < 2; i++) {
            bool acts = sctp_open(&sim->pair.ends[i].sctp) && sim->sides[i].to_send > 0;
            if (acts && sim->sides[i].next_at <= sim->pair.now)
                act(sim, i);
            if (acts && sim->sides[i].next_at < next)
                next = sim->sides[i].next_at;
            assert(sctp_ended(&sim->pair.ends[i].sctp) == SCTP_LIVES);
        }
        pair_step(&sim->pair, next);
        assert(sim->pair.now < last);
    }
}

static bool both_open(const struct sim *sim)
{
    return sctp_open(&sim->pair.ends[0].sctp) && sctp_open(&sim->pair.ends[1].sctp);
}

static void network(struct sim *sim)
{
    struct pair *pair = &sim->pair;
    pair->lost = (unsigned)(random_next(&sim->seed) % 5 * 50); /* up to 20 % */
    pair->twice = (unsigned)(random_next(&sim->seed) % 3 * 30);
    pair->late = (unsigned)(random_next(&sim->seed) % 3 * 100);
    pair->delay_ns = (1 + random_next(&sim->seed) % 80) * PAIR_MS;
    pair->jitter_ns = random_next(&sim->seed) % (100 * PAIR_MS);
}

static void check_arrived(const struct sim *sim)
{
    for (unsigned i = 0; i < 2; i++)
        for (unsigned number = 0; number < STREAMS; number++) {
            const struct stream *stream = &sim->sides[i].streams[number];
            assert(!reliable(number) || stream->got == stream->sent);
            assert(stream->got <= stream->sent);
        }
}

static void run(uint64_t seed)
{
    static struct sim sim;
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    /* In a third the TSNs wrap. */
    uint32_t tsn = seed % 3 == 0 ? UINT32_MAX - (uint32_t)(random_next(&sim.seed) % 60)
                                 : (uint32_t)random_next(&sim.seed);
    bool parks = seed % 4 < 2;
    pair_init(&sim.pair, seed, parks ? &parking_settings : &pair_settings, &ops, tsn);
    sim.pair.owner = &sim;
    sim.pair.parks = parks;
    network(&sim);
    for (unsigned i = 0; i < 2; i++) {
        sim.sides[i].to_send = (unsigned)(random_next(&sim.seed) % MESSAGES_MAX);
        sim.sides[i].may_reset = seed % 2 == 0;
    }
    until(&sim, both_open);
    until(&sim, quiet);
    /* What is under way may still be needed to know that all is there. */
    pair_run(&sim.pair, (uint64_t)60 * 1000 * PAIR_MS);
    check_arrived(&sim);
    sctp_close(&sim.pair.ends[seed % 2].sctp);
    pair_flush(&sim.pair, seed % 2);
    pair_run(&sim.pair, (uint64_t)300 * 1000 * PAIR_MS);
    assert(sctp_ended(&sim.pair.ends[0].sctp) == SCTP_END_SHUTDOWN);
    assert(sctp_ended(&sim.pair.ends[1].sctp) == SCTP_END_SHUTDOWN);
    totals[2] += sim.pair.packets;
    totals[3] += sim.pair.losses;
    totals[4] += sim.pair.parkings;
    pair_done(&sim.pair);
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
    for (uint64_t seed = first; seed < first + count; seed++) {
        /* Only what fails is read: an assertion ends the process behind this line. */
        printf("\rseed %llu ", (unsigned long long)seed);
        fflush(stdout);
        run(seed);
    }
    printf("\r%llu seeds: %llu messages sent, %llu arrived; %llu packets, %llu lost; "
           "%llu parkings\n",
           (unsigned long long)count, (unsigned long long)totals[0], (unsigned long long)totals[1],
           (unsigned long long)totals[2], (unsigned long long)totals[3],
           (unsigned long long)totals[4]);
    return 0;
}
