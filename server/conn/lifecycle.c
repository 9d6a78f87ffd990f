/* lifecycle: how a connection begins, is timed, and ends. */
#include <assert.h>

#include "conn/carrier.h"
#include "conn/check.h"
#include "conn/client.h"
#include "conn/log.h"
#include "conn/proxied.h"
#include "conn/secure.h"
#include "conn/shard.h"
#include "conn/sign_on.h"
#include "hub/hub.h"

#define NS_PER_MS INT64_C(1000000)

struct conn *conn_at(struct shard *shard, uint32_t slot)
{
    assert(slot < shard->slab_slots);
    return &shard->slab[slot];
}

uint32_t conn_slot(const struct shard *shard, const struct conn *conn)
{
    return (uint32_t)(conn - shard->slab);
}

struct ticket conn_ticket(const struct shard *shard, const struct conn *conn, uint32_t tag)
{
    return (struct ticket){conn_slot(shard, conn), conn->generation, tag};
}

struct conn *conn_of_ticket(struct shard *shard, const struct ticket *ticket)
{
    struct conn *conn = conn_at(shard, ticket->conn);
    return conn->state == CONN_OPEN && conn->generation == ticket->generation ? conn : NULL;
}

/* ---- begin ---- */

/* Not wanted: the first request is refused, or on the TLS port the handshake. */
static void turn_away(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_TLS) {
        secure_shed(shard, conn);
        return;
    }
    conn->role |= ROLE_UNWANTED;
    conn_timer(shard, conn, LINGER_MS);
}

/* The operator looks when it is full, too. */
static bool is_full(const struct shard *shard, enum listener listener)
{
    return shard->live > shard->live_max + (listener == LISTENER_ADMIN ? ADMIN_SPARE : 0);
}

void shard_accepted(struct shard *shard, uint32_t slot, enum listener listener)
{
    struct conn *conn = conn_at(shard, slot);
    assert(conn->state == CONN_FREE);
    *conn = (struct conn){
        .generation = conn->generation + 1,
        .state = CONN_OPEN,
        .transport = TRANSPORT_HTTP,
        .next_dirty = TIMERS_NONE,
        .subscriptions = HUB_NONE,
        .listener = (uint8_t)listener,
    };
    timer_link_init(&conn->timer);
    shard->live++;
    counter_add(&shard->counters.accepted, 1);
    counter_set(&shard->counters.connections, shard->live);
    if (slot >= shard->slots_high)
        shard->slots_high = slot + 1;
    conn_timer(shard, conn, shard->settings->head_timeout_ms);
    if (listener == LISTENER_TLS)
        secure_accepted(shard, conn);
    if (shard->proxied)
        proxied_accepted(shard, conn);
    if (shard->server->log)
        log_accepted(shard, conn);
    if (shard->clients && !client_accepted(shard, conn))
        return;
    /* One that an accept under way still took from another process is served, and drained. */
    if ((shard->draining && !shard_is_kept(shard, listener)) || is_full(shard, listener))
        turn_away(shard, conn);
    conn_watch_read(shard, conn);
}

/* ---- deadlines ---- */

static void arm(struct shard *shard, const struct conn *conn, int64_t delay_ns)
{
    timers_arm(&shard->timers, conn_slot(shard, conn), shard->now_ns + delay_ns);
}

static void conn_timer_ns(struct shard *shard, struct conn *conn, int64_t delay_ns)
{
    if (conn->state != CONN_OPEN)
        return;
    if (conn->extra && conn->extra->stalled)
        conn->extra->deadline_ns = shard->now_ns + delay_ns;
    else
        arm(shard, conn, delay_ns);
}

void conn_timer(struct shard *shard, struct conn *conn, int64_t delay_ms)
{
    conn_timer_ns(shard, conn, delay_ms * NS_PER_MS);
}

/* How long before then the last point of its phase was, if there is one in each step. */
static int64_t past_phase_ns(const struct shard *shard, const struct conn *conn, int64_t then_ns,
                             int64_t step_ns)
{
    int64_t interval_ns = shard->settings->heartbeat_ms * NS_PER_MS;
    /* Multiples of the golden ratio: however many there are, they part the interval evenly. */
    uint64_t place = conn_slot(shard, conn) / HEARTBEAT_NEIGHBOURS * UINT64_C(0x9e3779b97f4a7c15);
    int64_t phase_ns = (int64_t)((unsigned __int128)place * (uint64_t)interval_ns >> 64);
    return ((then_ns - phase_ns) % step_ns + step_ns) % step_ns;
}

/* Heartbeats keep to a phase of the interval that belongs to the slot. Timed from the last one they
 * would bunch: all that a broadcast had held up would be due together ever after. Neighbours share
 * a phase, since they share a table and pages. Who is out of phase gets there by two shorter steps:
 * none is below half of the interval, in which the peer has to answer, or above it. */
void conn_heartbeat(struct shard *shard, struct conn *conn)
{
    int64_t interval_ns = shard->settings->heartbeat_ms * NS_PER_MS;
    int64_t half_ns = shard->now_ns + interval_ns / 2;
    int64_t past_ns = past_phase_ns(shard, conn, half_ns, interval_ns);
    int64_t wait_ns = interval_ns / 2 + interval_ns - past_ns;
    conn_timer_ns(shard, conn, wait_ns > interval_ns ? wait_ns / 2 : wait_ns);
    conn->told = 0;
}

/* It is looked at again at the last point of its phase, or half an interval off that, before the
 * peer has heard nothing for an interval: whom a broadcast has reached would else all be due
 * together, an interval behind it. */
unsigned conn_heartbeat_skip(struct shard *shard, struct conn *conn)
{
    int64_t interval_ns = shard->settings->heartbeat_ms * NS_PER_MS;
    if (conn->told == 0 || shard->settings->heartbeats_skipped_max == 0)
        return 0;
    unsigned parts = 1 + (shard->beat + BEATS - conn->told) % BEATS;
    int64_t until_ns = shard->now_ns + interval_ns - parts * heartbeat_part_ns(shard);
    int64_t wait_ns =
        until_ns - past_phase_ns(shard, conn, until_ns, interval_ns / 2) - shard->now_ns;
    if (wait_ns < TIMERS_TICK_NS)
        return 0;
    counter_add(&shard->counters.pings_skipped, 1);
    conn_timer_ns(shard, conn, wait_ns);
    return wait_ns > interval_ns / 2 ? 2 : 1;
}

static void stall_check(struct shard *shard, struct conn *conn)
{
    if (!conn->extra->moved) {
        conn_end(shard, conn, END_CLOSE, CLOSE_STALLED);
        return;
    }
    conn->extra->moved = false;
    arm(shard, conn, shard->settings->stall_timeout_ms * NS_PER_MS);
}

static void open_timer(struct shard *shard, struct conn *conn)
{
    if (conn->extra && conn->extra->stalled)
        stall_check(shard, conn);
    else if (conn->link & LINK_PROXY)
        proxied_timer(shard, conn);
    else if (conn->link & LINK_HANDSHAKE)
        secure_timer(shard, conn);
    else if (conn_transport(shard, conn)->timer)
        conn_transport(shard, conn)->timer(shard, conn);
}

void conn_timer_fired(void *context, uint32_t slot)
{
    struct shard *shard = context;
    struct conn *conn = conn_at(shard, slot);
    if (conn->state == CONN_OPEN) {
        open_timer(shard, conn);
    } else if (conn->state == CONN_FINISHING) {
        conn_end(shard, conn, END_CLOSE, CLOSE_LINGER);
    } else {
        counter_add(&shard->counters.lingers_cut, 1);
        conn_end(shard, conn, END_CLOSE, CLOSE_DONE);
    }
    conn_assert(shard, conn);
}

/* ---- reading on and off ---- */

void conn_watch_read(struct shard *shard, struct conn *conn)
{
    const uint32_t held =
        LINK_WATCH_READ | LINK_PAUSED | LINK_RECEIVING | LINK_INPUT_ENDED | LINK_WAITS;
    if (conn->link & LINK_STREAM) {
        stream_read_on(shard, conn);
        return;
    }
    if (!conn_alive(conn) || conn->link & held)
        return;
    conn->link |= LINK_WATCH_READ;
    ring_watch(shard->ring, conn_slot(shard, conn), RING_READ);
}

void conn_pause(struct conn *conn)
{
    conn->link |= LINK_PAUSED;
}

void conn_resume(struct shard *shard, struct conn *conn)
{
    conn->link &= ~(uint32_t)LINK_PAUSED;
    conn_watch_read(shard, conn);
}

void conn_hand_over(struct conn *conn, enum transport_id transport)
{
    conn->transport = transport;
}

/* ---- end ---- */

/* Gives the slot back when nothing refers to it any more. */
void conn_release(struct shard *shard, struct conn *conn)
{
    if (conn->state != CONN_CLOSING || conn->link & LINK_BUSY)
        return;
    conn->state = CONN_FREE;
    if (conn->link & LINK_STREAM)
        stream_free(shard, conn);
    else
        ring_close(shard->ring, conn_slot(shard, conn));
}

/* The peer takes nothing, and what the kernel still has for it would stay there until that gives up
 * by itself, after minutes; or it is to cost nothing more. */
static bool is_reset(enum close_reason reason)
{
    return reason == CLOSE_ADDRESS_CONNECTIONS || reason == CLOSE_ADDRESS_CONNECTS ||
           reason == CLOSE_HEARTBEAT || reason == CLOSE_SLOW_READER || reason == CLOSE_STALLED ||
           reason == CLOSE_QUEUE_TOTAL || reason == CLOSE_LINGER;
}

static void extra_clear(struct shard *shard, struct conn *conn)
{
    if (!conn->extra)
        return;
    assert(!conn->extra->transport_state && !conn->extra->gathering && !conn->extra->catch_up);
    stash_free(&conn->extra->input);
    stash_free(&conn->extra->record);
    stash_free(&conn->extra->message);
    conn->extra->stalled = false;
    conn->extra->has_body = false;
    conn_extra_trim(shard, conn);
    assert(!conn->extra);
}

/* The reason that is counted. */
static enum close_reason first_reason(const struct conn *conn, enum close_reason reason)
{
    bool lost = conn->state == CONN_FINISHING && conn->end_reason == CLOSE_DONE;
    return conn->state == CONN_OPEN || lost ? reason : (enum close_reason)conn->end_reason;
}

static void socket_closed(struct shard *shard, const struct conn *conn, enum close_reason reason)
{
    uint32_t slot = conn_slot(shard, conn);
    if (conn->link & LINK_WATCH_READ)
        ring_unwatch(shard->ring, slot, RING_READ);
    if (conn->link & LINK_WATCH_WRITE)
        ring_unwatch(shard->ring, slot, RING_WRITE);
    if (is_reset(reason))
        ring_abort(shard->ring, slot);
    shard->live--;
    counter_set(&shard->counters.connections, shard->live);
}

/* A QUIC connection is a connection, whatever carries it. */
static void count_end(struct shard *shard, const struct conn *conn, enum close_reason reason)
{
    bool is_stream = conn->link & LINK_STREAM && conn->transport != TRANSPORT_QUIC;
    counter_add(
        is_stream ? &shard->counters.streams_closed[reason] : &shard->counters.closed[reason], 1);
    if (shard->server->log)
        log_closed(shard, conn, reason);
}

static void leave(struct shard *shard, struct conn *conn)
{
    if (conn_transport(shard, conn)->leave)
        conn_transport(shard, conn)->leave(shard, conn);
    else
        hub_unsubscribe_all(shard->hub, &conn->subscriptions);
    assert(conn->subscriptions == HUB_NONE);
}

static void close_now(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    uint32_t slot = conn_slot(shard, conn);
    count_end(shard, conn, first_reason(conn, reason));
    leave(shard, conn);
    conn_sign_off(shard, conn);
    if (conn_transport(shard, conn)->closed)
        conn_transport(shard, conn)->closed(shard, conn);
    conn->state = CONN_CLOSING;
    timers_cancel(&shard->timers, slot);
    conn_queue_clear(shard, conn);
    if (conn->link & LINK_TLS)
        secure_closed(shard, conn);
    if (conn->link & LINK_COUNTED)
        client_closed(shard, conn);
    extra_clear(shard, conn);
    if (conn->link & LINK_STREAM)
        stream_closed(shard, conn, reason);
    else
        socket_closed(shard, conn, reason);
    conn_release(shard, conn);
}

void conn_sent_all(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_STREAM) {
        stream_sent_all(shard, conn);
        return;
    }
    if (conn->link & LINK_KEYED && secure_goodbye(shard, conn))
        return;
    if (conn->link & LINK_INPUT_ENDED) {
        close_now(shard, conn, conn->end_reason);
        return;
    }
    assert(!(conn->link & LINK_WATCH_WRITE));
    conn->state = CONN_LINGERING;
    conn->link |= LINK_WATCH_WRITE;
    ring_shutdown(shard->ring, conn_slot(shard, conn));
    arm(shard, conn, LINGER_MS * NS_PER_MS);
}

static void finish(struct shard *shard, struct conn *conn, enum conn_how how,
                   enum close_reason reason)
{
    int64_t wait_ms = LINGER_MS + (int64_t)(conn_queued(conn) / LINGER_BYTES_PER_MS);
    bool is_stream = conn->link & LINK_STREAM; /* says by itself that its input has ended */
    if (is_stream)                             /* which shares its road with the others */
        wait_ms *= stream_carrier(shard, conn)->count;
    leave(shard, conn);
    if (conn_carrier(shard, conn))
        carrier_end_streams(shard, conn_carrier(shard, conn));
    conn->state = CONN_FINISHING;
    conn->end_reason = reason;
    if (!is_stream && (how == END_SENT || !conn->out_block))
        conn->link |= LINK_INPUT_ENDED;
    if (conn->extra)
        conn->extra->stalled = false;
    arm(shard, conn, wait_ms * NS_PER_MS);
    if (conn->link & LINK_PAUSED)
        conn_resume(shard, conn);
    if (!conn->out_block)
        conn_sent_all(shard, conn);
}

void conn_end(struct shard *shard, struct conn *conn, enum conn_how how, enum close_reason reason)
{
    if (how == END_CLOSE && conn_alive(conn))
        close_now(shard, conn, reason);
    else if (how != END_CLOSE && conn->state == CONN_OPEN)
        finish(shard, conn, how, reason);
}
