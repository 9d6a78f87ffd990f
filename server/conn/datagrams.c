#include "conn/datagrams.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "conn/shard.h"

struct datagram_batch {
    struct ring_packet in[RING_PACKETS_MAX];
    struct ring_packet out[RING_PACKETS_MAX];
    unsigned out_count;
    unsigned taken; /* in this turn */
    bool waits;     /* more is there than a turn takes */
    uint8_t rooms[RING_PACKETS_MAX][DATAGRAM_ROOM];
    uint8_t made[RING_PACKETS_MAX][DATAGRAM_BYTES];
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

static void send_batch(struct shard *shard, unsigned port)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    uint64_t lost = 0, bytes = 0;
    ring_packets_send(shard->ring, port, batch->out, batch->out_count);
    for (unsigned i = 0; i < batch->out_count; i++) {
        lost += batch->out[i].res < 0;
        bytes += batch->out[i].res > 0 ? (uint64_t)batch->out[i].res : 0;
    }
    counter_add(&shard->counters.datagrams_sent, batch->out_count - lost);
    counter_add(&shard->counters.datagrams_unsent, lost);
    counter_add(&shard->counters.bytes_sent, bytes);
    batch->out_count = 0;
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
    if (batch->out_count == RING_PACKETS_MAX)
        send_batch(shard, port);
    return batch->made[batch->out_count];
}

void datagram_send(struct shard *shard, enum datagram_port port, size_t len,
                   const struct sockaddr_in6 *peer, const struct in6_addr *local, uint8_t ecn)
{
    struct datagram_batch *batch = shard->datagrams.batches[port];
    assert(batch->out_count < RING_PACKETS_MAX && len > 0 && len <= DATAGRAM_BYTES);
    batch->out[batch->out_count] = (struct ring_packet){
        .iov = {batch->made[batch->out_count], len},
        .ecn = ecn,
        .peer = *peer,
        .local = *local,
    };
    batch->out_count++;
}
