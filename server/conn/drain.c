/* drain: a server that goes away says goodbye to its clients, evenly over drain_ms, and lets its
 * threads go when all have gone. */
#include "conn/carrier.h"
#include "conn/shard.h"

enum {
    VISITS = 65536, /* slots that are looked at in a turn */
};

void shard_keep(struct shard *shard, unsigned which)
{
    atomic_fetch_or_explicit(&shard->kept, 1U << which, memory_order_relaxed);
}

void shard_stop(struct shard *shard)
{
    atomic_store_explicit(&shard->stopping, true, memory_order_relaxed);
    ring_wake(shard->ring);
}

bool shard_done(const struct shard *shard)
{
    return shard->draining && (shard->live == 0 || shard->now_ns >= shard->drain_end_ns);
}

bool shard_may_leave(struct shard *shard)
{
    atomic_uint *serving = shard->server->serving;
    if (!shard_done(shard))
        return false;
    if (!shard->has_drained)
        atomic_fetch_sub_explicit(serving, 1, memory_order_relaxed);
    shard->has_drained = true;
    return atomic_load_explicit(serving, memory_order_relaxed) == 0 ||
           shard->now_ns >= shard->drain_end_ns;
}

/* Those with a socket, and those of a port over UDP, which are streams of its line. What streams of
 * others carry goes with these. */
static bool is_connection(const struct shard *shard, const struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return false;
    bool over_udp = conn->transport == TRANSPORT_QUIC || conn->transport == TRANSPORT_RTC;
    return !(conn->link & LINK_STREAM) ||
           (over_udp && stream_link(shard, conn)->carrier != conn_slot(shard, conn));
}

static void send_away(struct shard *shard, struct conn *conn)
{
    if (conn_transport(shard, conn)->drain)
        conn_transport(shard, conn)->drain(shard, conn);
    else
        conn_end(shard, conn, END_LINGER, CLOSE_GOING_AWAY);
}

static void begin(struct shard *shard)
{
    shard->draining = true;
    shard->drain_end_ns =
        shard->now_ns + shard->settings->drain_ms * 1000000 + LINGER_MS * INT64_C(1000000);
    shard->drain_conns = shard->live;
    shard_stop_listening(shard);
}

/* How many are to be gone by now: of those that were there, not of the slots, of which most are
 * free after a rush. */
static uint64_t due(const struct shard *shard)
{
    int64_t window_ns = shard->settings->drain_ms * 1000000;
    int64_t left_ns = shard->drain_end_ns - LINGER_MS * INT64_C(1000000) - shard->now_ns;
    if (left_ns <= 0)
        return UINT64_MAX;
    return (uint64_t)((double)shard->drain_conns * (double)(window_ns - left_ns) /
                      (double)window_ns);
}

/* Returns whether there is more to do at once. */
bool shard_drain_turn(struct shard *shard)
{
    if (!shard->draining)
        begin(shard);
    uint64_t due_now = due(shard);
    uint32_t end = shard->streams.first + shard->streams.high;
    for (unsigned visits = 0; shard->drain_gone < due_now && shard->drain_next < end; visits++) {
        if (visits == VISITS)
            return true;
        if (shard->drain_next == shard->slots_high && shard->drain_next < shard->streams.first)
            shard->drain_next = shard->streams.first;
        if (shard->drain_next >= end)
            break;
        struct conn *conn = conn_at(shard, shard->drain_next++);
        if (!is_connection(shard, conn))
            continue;
        shard->drain_gone++;
        send_away(shard, conn);
    }
    return false;
}
