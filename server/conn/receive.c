/* receive: sockets that have something are read in one batch into a shared area, then understood
 * one by one.
 *
 * A connection that cannot get rid of its answers is not read from: whoever floods a server without
 * reading its replies is slowed down by TCP, and costs no memory. */
#include <errno.h>

#include "conn/check.h"
#include "conn/proxied.h"
#include "conn/secure.h"
#include "conn/shard.h"

void shard_readable(struct shard *shard, uint32_t slot, int32_t res)
{
    (void)res; /* hang-ups and errors show in what receive returns */
    struct conn *conn = conn_at(shard, slot);
    conn->link &= ~(uint32_t)LINK_WATCH_READ;
    if (conn->state == CONN_CLOSING) {
        conn_release(shard, conn);
        return;
    }
    if (conn->link & LINK_PAUSED)
        return; /* paused again behind this watch: there is no room for what it announces */
    if ((conn->link & (LINK_HANDSHAKE | LINK_PROXY)) == LINK_HANDSHAKE && conn->state == CONN_OPEN)
        secure_readable(shard, conn);
    else
        conn_receive_soon(shard, conn);
}

/* What a batch has received is understood whole: it is short where that may take long. */
static unsigned receive_batch(const struct shard *shard)
{
    return shard->settings->websocket_deflate ? RECEIVE_BATCH_INFLATED : RECEIVE_BATCH;
}

void conn_receive_soon(struct shard *shard, struct conn *conn)
{
    conn->link |= LINK_RECEIVING;
    shard->readable[shard->readable_count++] = conn_slot(shard, conn);
    if (shard->readable_count == receive_batch(shard))
        shard_receive(shard);
}

void conn_inflate_room(struct shard *shard, size_t len)
{
    shard->inflate_room = (size_t)shard->settings->message_bytes_max + INFLATE_RATIO * len;
}

void conn_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    if (conn->state == CONN_OPEN)
        conn_transport(shard, conn)->input(shard, conn, bytes, len);
}

/* Whether a proxy's header is still to come. */
static bool is_headed(const struct conn *conn)
{
    return conn->link & LINK_PROXY && conn->state == CONN_OPEN;
}

static size_t room(const struct shard *shard, uint32_t slot)
{
    const struct conn *conn = &shard->slab[slot];
    return shard->proxied && is_headed(conn) ? proxied_room(conn) : RECEIVE_BYTES;
}

static void understand(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    conn_inflate_room(shard, len);
    if (is_headed(conn))
        proxied_input(shard, conn, bytes, len);
    else if (conn->link & LINK_TLS)
        secure_input(shard, conn, bytes, len);
    else
        conn_input(shard, conn, bytes, len);
    budgets_charge_input(shard, conn);
    if (!conn_alive(conn))
        return;
    if (conn->state == CONN_OPEN && conn_waiting(conn) > (uint64_t)shard->settings->queue_bytes_max)
        conn_pause(conn);
    conn_watch_read(shard, conn);
}

/* A client may close its half behind its request and still want the answer. */
void conn_input_ended(struct shard *shard, struct conn *conn)
{
    const struct transport *transport = conn_transport(shard, conn);
    conn->link |= LINK_INPUT_ENDED;
    if (conn->state == CONN_OPEN && transport->input_ended && transport->input_ended(shard, conn))
        return;
    bool owed = conn->transport == TRANSPORT_HTTP || conn->link & LINK_KEYED;
    if (conn->state == CONN_OPEN && owed)
        conn_end(shard, conn, END_SENT, CLOSE_DONE); /* what is queued, and close_notify */
    else if (conn->state != CONN_FINISHING)
        conn_end(shard, conn, END_CLOSE, CLOSE_DONE);
}

static void received(struct shard *shard, struct conn *conn, struct ring_io *io)
{
    conn->link &= ~(uint32_t)LINK_RECEIVING;
    if (conn->state == CONN_CLOSING) {
        conn_release(shard, conn);
    } else if (io->res > 0) {
        counter_add(&shard->counters.bytes_received, (uint64_t)io->res);
        shard->received_bytes += (size_t)io->res;
        understand(shard, conn, io->iov.iov_base, (size_t)io->res);
    } else if (io->res == -EAGAIN) {
        conn_watch_read(shard, conn);
    } else if (io->res == 0) {
        if (conn->link & LINK_TLS)
            secure_cut(shard, conn);
        conn_input_ended(shard, conn);
    } else {
        conn_end(shard, conn, END_CLOSE, close_reason_of_error(io->res));
    }
}

/* Receives from the connections collected so far. */
void shard_receive(struct shard *shard)
{
    struct ring_io io[RECEIVE_BATCH];
    unsigned count = shard->readable_count;
    shard->readable_count = 0;
    if (count == 0)
        return;
    for (unsigned i = 0; i < count; i++)
        io[i] = (struct ring_io){
            .slot = shard->readable[i],
            .iov = {shard->receive_area + (size_t)i * RECEIVE_BYTES,
                    room(shard, shard->readable[i])},
        };
    ring_receive(shard->ring, io, count);
    for (unsigned i = 0; i < count; i++)
        received(shard, &shard->slab[io[i].slot], &io[i]);
    for (unsigned i = 0; CONN_CHECKED && i < count; i++)
        conn_assert(shard, &shard->slab[io[i].slot]);
}
