#include "sctp_pair.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

enum {
    PORT = 5000,
};

const struct sctp_settings pair_settings = {
    .message_bytes_max = 65536,
    .send_bytes_max = 1 << 20,
    .receive_bytes_max = 256 << 10,
    .heartbeat_ms = 30000,
};

static unsigned chance(struct pair *pair)
{
    return (unsigned)(random_next(&pair->seed) % 1000);
}

void pair_init(struct pair *pair, uint64_t seed, const struct sctp_settings *settings,
               const struct sctp_ops *ops, uint32_t first_tsn)
{
    memset(pair, 0, sizeof *pair);
    pair->seed = seed;
    pair->delay_ns = 10 * PAIR_MS;
    pair->now = PAIR_MS;
    for (unsigned i = 0; i < 2; i++) {
        pair->ends[i].pair = pair;
        pair->ends[i].number = i;
        sctp_init(&pair->ends[i].sctp, settings, ops, PORT, 0x1000 + i, first_tsn + i * 77);
    }
    sctp_connect(&pair->ends[0].sctp, pair->now);
    pair_flush(pair, 0);
}

void pair_done(struct pair *pair)
{
    for (unsigned i = 0; i < pair->wire_count; i++)
        free(pair->wire[i]);
    for (unsigned i = 0; i < 2; i++) {
        sctp_done(&pair->ends[i].sctp);
        assert(sctp_held(&pair->ends[i].sctp) == 0);
    }
}

static void wire_put(struct pair *pair, unsigned to, const uint8_t *bytes, size_t len)
{
    struct pair_packet *packet = malloc(sizeof *packet);
    assert(packet && pair->wire_count < PAIR_WIRE_MAX);
    packet->at = pair->now + pair->delay_ns;
    if (chance(pair) < pair->late)
        packet->at += random_next(&pair->seed) % (pair->jitter_ns + 1);
    packet->order = pair->sent++;
    packet->len = len;
    packet->to = to;
    memcpy(packet->bytes, bytes, len);
    pair->wire[pair->wire_count++] = packet;
}

static void park(struct pair *pair, struct sctp *sctp)
{
    const struct sctp_settings *settings = sctp->settings;
    const struct sctp_ops *ops = sctp->ops;
    struct sctp_parked *parked = malloc(sctp_parked_size(sctp));
    assert(parked);
    sctp_park(sctp, parked);
    memset(sctp, 0xa5, sizeof *sctp);
    sctp_wake(sctp, settings, ops, parked);
    free(parked);
    pair->parkings++;
}

void pair_flush(struct pair *pair, unsigned end)
{
    uint8_t bytes[SCTP_PACKET_MAX];
    size_t len;
    while ((len = sctp_output(&pair->ends[end].sctp, pair->now, bytes)) > 0) {
        pair->packets++;
        if ((pair->drop && pair->drop(pair, !end, bytes, len)) || chance(pair) < pair->lost) {
            pair->losses++;
            continue;
        }
        wire_put(pair, !end, bytes, len);
        if (chance(pair) < pair->twice)
            wire_put(pair, !end, bytes, len);
    }
    if (pair->parks && sctp_idle(&pair->ends[end].sctp))
        park(pair, &pair->ends[end].sctp);
}

static bool before(const struct pair_packet *a, const struct pair_packet *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* Whether more comes to that end at this time. */
static bool more_comes(const struct pair *pair, unsigned end)
{
    for (unsigned i = 0; i < pair->wire_count; i++)
        if (pair->wire[i]->to == end && pair->wire[i]->at <= pair->now)
            return true;
    return false;
}

bool pair_step(struct pair *pair, uint64_t until)
{
    unsigned first = PAIR_WIRE_MAX;
    for (unsigned i = 0; i < pair->wire_count; i++)
        if (first == PAIR_WIRE_MAX || before(pair->wire[i], pair->wire[first]))
            first = i;
    uint64_t packet_at = first < PAIR_WIRE_MAX ? pair->wire[first]->at : SCTP_NEVER;
    unsigned end = sctp_deadline(&pair->ends[1].sctp) < sctp_deadline(&pair->ends[0].sctp);
    uint64_t timer_at = sctp_deadline(&pair->ends[end].sctp);
    uint64_t at = packet_at < timer_at ? packet_at : timer_at;
    if (at > until) {
        pair->now = until;
        return false;
    }
    pair->now = at > pair->now ? at : pair->now;
    if (timer_at <= packet_at) {
        sctp_timer(&pair->ends[end].sctp, pair->now);
    } else {
        struct pair_packet *packet = pair->wire[first];
        pair->wire[first] = pair->wire[--pair->wire_count];
        end = packet->to;
        int err = sctp_input(&pair->ends[end].sctp, pair->now, packet->bytes, packet->len);
        assert(err == 0 || err == SCTP_TAG);
        free(packet);
    }
    if (!pair->together || !more_comes(pair, end))
        pair_flush(pair, end);
    return true;
}

void pair_run(struct pair *pair, uint64_t ns)
{
    uint64_t until = pair->now + ns;
    while (pair_step(pair, until))
        ;
}
