#include "conn/datagrams.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/shard.h"

enum {
    JOINED_MAX = 64,          /* datagrams in an entry: more the kernel does not take */
    JOINED_BYTES_MAX = 65000, /* and so many of theirs */
};

struct datagram_batch {
    struct ring_packet in[RING_PACKETS_MAX];
    struct ring_packet out[RING_PACKETS_MAX];
    struct ring_packet pieces[JOINED_MAX]; /* of an entry that was not taken */
    unsigned out_count;
    uint32_t last_whose; /* the last of `out` */
    size_t made_len;
    bool joins_none; /* the way out does not take several datagrams in one entry */
    unsigned taken;  /* in this turn */
    bool waits;      /* more is there than a turn takes */
    int64_t heard_ns;
    uint8_t rooms[RING_PACKETS_MAX][DATAGRAM_ROOM];
    uint8_t made[RING_PACKETS_MAX * DATAGRAM_BYTES]; /* one behind the other */
};

static const struct datagram_ops *ops_of(const struct shard *shard, unsigned port)
{
    return shard->server->datagrams[port];
}

int datagrams_init(struct shard *shard)
{
    int err = 0;
    for (unsigned port = 0; port < DATAGRAM_PORTS && err == 0; port++)
        if (ops_of(shard, port))
            err = ops_of(shard, port)->create(shard);
    return err;
}

void datagrams_done(struct shard *shard)
{
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++) {
        if (ops_of(shard, port))
            ops_of(shard, port)->free(shard);
    }
    datagrams_flush(shard);
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++)
        free(shard->datagrams.batches[port]);
}

int shard_datagrams(struct shard *shard, enum datagram_port port, int fd)
{
    struct datagram_batch *batch = calloc(1, sizeof *batch);
    int err = batch ? ring_packets_open(shard->ring, port, fd) : -ENOMEM;
    if (err < 0) {
        free(batch);
        return err;
    }
    for (unsigned i = 0; i < RING_PACKETS_MAX; i++)
        batch->in[i].iov = (struct iovec){batch->rooms[i], DATAGRAM_ROOM};
    shard->datagrams.batches[port] = batch;
    ring_packets_watch(shard->ring, port);
    return 0;
}

bool datagrams_served(const struct shard *shard)
{
    bool served = false;
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++)
        served |= shard->datagrams.batches[port] != NULL;
    return served;
}

/* ---- in ---- */

/* Returns whether there may be more. */
static bool take_batch(struct shard *shard, unsigned port)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    unsigned count = ring_packets_receive(shard->ring, port, batch->in, RING_PACKETS_MAX);
    counter_add(&shard->counters.datagrams_received, count);
    for (unsigned i = 0; i < count; i++) {
        if (batch->in[i].res < 0)
            continue;
        counter_add(&shard->counters.bytes_received, (uint64_t)batch->in[i].res);
        ops_of(shard, port)->arrived(shard, &batch->in[i]);
    }
    batch->taken += count;
    return count == RING_PACKETS_MAX;
}

static void take(struct shard *shard, unsigned port)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    bool more = true;
    while (more && batch->taken < DATAGRAMS_PER_TURN)
        more = take_batch(shard, port);
    batch->waits = more;
    if (!more)
        ring_packets_watch(shard->ring, port);
}

void datagrams_arrived(struct shard *shard, uint32_t number, int32_t res)
{
    (void)res; /* errors show in what receive returns */
    shard->datagrams.batches[number]->taken = 0;
    take(shard, number);
}

/* ---- a turn ---- */

static void hear(struct datagram_batch *batch, int64_t now_ns)
{
    int64_t least_ns = now_ns - DATAGRAMS_BEHIND_NS;
    if (!batch->waits)
        batch->heard_ns = now_ns;
    else if (batch->heard_ns < least_ns)
        batch->heard_ns = least_ns;
}

int64_t datagrams_heard_ns(const struct shard *shard, enum datagram_port port)
{
    return shard->datagrams.batches[port]->heard_ns;
}

bool datagrams_turn(struct shard *shard)
{
    bool more = false;
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++) {
        struct datagram_batch *batch = shard->datagrams.batches[port];
        if (!batch)
            continue;
        if (batch->waits && batch->taken == 0)
            take(shard, port);
        batch->taken = 0;
        more |= batch->waits;
        hear(batch, shard->now_ns);
        more |= ops_of(shard, port)->turn(shard);
    }
    return more;
}

int64_t datagrams_wait_ns(const struct shard *shard, int64_t most_ns)
{
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++) {
        int64_t next_ns =
            shard->datagrams.batches[port] ? ops_of(shard, port)->next_ns(shard) : INT64_MAX;
        int64_t wait_ns = next_ns > shard->now_ns ? next_ns - shard->now_ns : 0;
        most_ns = wait_ns < most_ns ? wait_ns : most_ns;
    }
    return most_ns;
}

/* ---- out ---- */

static unsigned datagrams_in(const struct ring_packet *packet)
{
    size_t segment = packet->segment;
    return segment == 0 ? 1 : (unsigned)((packet->iov.iov_len + segment - 1) / segment);
}

static void count(struct shard *shard, const struct ring_packet *packet)
{
    struct counters *counters = &shard->counters;
    unsigned datagrams = datagrams_in(packet);
    counter_add(packet->res < 0 ? &counters->datagrams_unsent : &counters->datagrams_sent,
                datagrams);
    if (packet->res < 0)
        return;
    counter_add(&counters->datagrams_joined, datagrams - 1);
    counter_add(&counters->bytes_sent, (uint64_t)packet->res);
}

/* What was not taken together may be taken one by one: where a device cannot cut, or one of them is
 * too long for its way. That says nothing of other peers' ways, so what is refused alone as well
 * does not end the joining. */
static void send_pieces(struct shard *shard, unsigned port, const struct ring_packet *joined)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    unsigned pieces = datagrams_in(joined);
    bool all_taken = true;
    for (unsigned i = 0; i < pieces; i++) {
        size_t at = (size_t)i * joined->segment, left = joined->iov.iov_len - at;
        batch->pieces[i] = *joined;
        batch->pieces[i].segment = 0;
        batch->pieces[i].iov.iov_base = (uint8_t *)joined->iov.iov_base + at;
        batch->pieces[i].iov.iov_len = left < joined->segment ? left : joined->segment;
    }
    ring_packets_send(shard->ring, port, batch->pieces, pieces);
    for (unsigned i = 0; i < pieces; i++) {
        count(shard, &batch->pieces[i]);
        all_taken &= batch->pieces[i].res >= 0;
    }
    batch->joins_none |= joined->res == -EIO || (joined->res == -EINVAL && all_taken);
}

static void send_batch(struct shard *shard, unsigned port)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    ring_packets_send(shard->ring, port, batch->out, batch->out_count);
    for (unsigned i = 0; i < batch->out_count; i++) {
        const struct ring_packet *packet = &batch->out[i];
        if (packet->res < 0 && packet->res != -EAGAIN && packet->segment != 0)
            send_pieces(shard, port, packet);
        else
            count(shard, packet);
    }
    batch->out_count = 0;
    batch->made_len = 0;
}

void datagrams_flush(struct shard *shard)
{
    for (unsigned port = 0; port < DATAGRAM_PORTS; port++)
        if (shard->datagrams.batches[port] && shard->datagrams.batches[port]->out_count > 0)
            send_batch(shard, port);
}

uint8_t *datagram_room(struct shard *shard, enum datagram_port port)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    if (batch->out_count == RING_PACKETS_MAX ||
        batch->made_len + DATAGRAM_BYTES > sizeof batch->made)
        send_batch(shard, port);
    return batch->made + batch->made_len;
}

/* Whether it can be the next of an entry: all are as long as the first, but for the last, which may
 * be shorter. */
static bool joins(const struct datagram_batch *batch, const struct ring_packet *last,
                  const struct ring_packet *next, uint32_t whose)
{
    size_t segment = last->segment ? last->segment : last->iov.iov_len;
    return !batch->joins_none && whose != DATAGRAM_NOBODYS && whose == batch->last_whose &&
           next->iov.iov_len <= segment && last->iov.iov_len % segment == 0 &&
           last->iov.iov_len / segment < JOINED_MAX &&
           last->iov.iov_len + next->iov.iov_len <= JOINED_BYTES_MAX && last->ecn == next->ecn &&
           memcmp(&last->peer, &next->peer, sizeof next->peer) == 0 &&
           memcmp(&last->local, &next->local, sizeof next->local) == 0;
}

void datagram_send(struct shard *shard, enum datagram_port port, uint32_t whose, size_t len,
                   const struct sockaddr_in6 *peer, const struct in6_addr *local, uint8_t ecn)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    assert(batch->out_count < RING_PACKETS_MAX && len > 0 && len <= DATAGRAM_BYTES);
    const struct ring_packet next = {
        .iov = {batch->made + batch->made_len, len},
        .ecn = ecn,
        .peer = *peer,
        .local = *local,
    };
    struct ring_packet *last = batch->out_count > 0 ? &batch->out[batch->out_count - 1] : NULL;
    batch->made_len += len;
    if (last && joins(batch, last, &next, whose)) {
        last->segment = (uint16_t)(last->segment ? last->segment : last->iov.iov_len);
        last->iov.iov_len += len;
        return;
    }
    batch->out[batch->out_count++] = next;
    batch->last_whose = whose;
}
