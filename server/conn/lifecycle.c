/* lifecycle: how a connection begins, is timed, and ends. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/secure.h"
#include "conn/shard.h"
#include "hub/hub.h"
#include "wire/http.h"

struct conn *conn_at(struct shard *shard, uint32_t slot)
{
    assert(slot < shard->slab_slots);
    return &shard->slab[slot];
}

uint32_t conn_slot(const struct shard *shard, const struct conn *conn)
{
    return (uint32_t)(conn - shard->slab);
}

/* ---- begin ---- */

void conn_answer_refusal(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    char answer[512], body[128];
    int body_len = snprintf(body, sizeof body, "{\"error\":\"%s\",\"message\":\"%s\"}\n",
                            refusal_name(refusal), refusal_sentence(refusal));
    char retry_after[32];
    int retry_len = snprintf(retry_after, sizeof retry_after, "Retry-After: %u\r\n",
                             (admission_retry_ms(&shard->admission) + 999) / 1000);
    const struct http_response_head head = {
        .status = refusal_status(refusal),
        .minor_version = 1,
        .framing = HTTP_FRAMING_LENGTH,
        .content_length = (uint64_t)body_len,
        .content_type = SPAN("application/json"),
        .extra = span_of(retry_after, (size_t)retry_len),
    };
    int len = http_response_head_write(answer, sizeof answer - sizeof body, &head);
    assert(len > 0 && body_len > 0 && (size_t)body_len < sizeof body);
    memcpy(answer + len, body, (size_t)body_len);
    counter_add(refusal_status(refusal) < 500 ? &shard->counters.errors_4xx
                                              : &shard->counters.errors_5xx,
                1);
    counter_add(&shard->counters.refused[refusal], 1);
    conn_send_bytes(shard, conn, span_of(answer, (size_t)len + (size_t)body_len));
}

/* Sheds cheaply: one short answer, and the slot is free as soon as the request has been read. */
static void shed(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    if (conn->link & LINK_TLS) {
        secure_shed(shard, conn);
        return;
    }
    conn_answer_refusal(shard, conn, refusal);
    conn_finish(shard, conn, CLOSE_TABLE_FULL);
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
    if (shard->draining)
        shed(shard, conn, REFUSAL_DRAINING);
    else if (is_full(shard, listener))
        shed(shard, conn, REFUSAL_TABLE_FULL);
    conn_watch_read(shard, conn);
}

/* ---- deadlines ---- */

/* Why one ends that had its last answer, and perhaps did not take it. */
static enum close_reason finish_reason(const struct conn *conn)
{
    bool untaken = conn->finish_reason == CLOSE_DONE && !(conn->link & LINK_LINGERS);
    return untaken ? CLOSE_LINGER : (enum close_reason)conn->finish_reason;
}

static void finish_timer(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_LINGERS)
        counter_add(&shard->counters.lingers_cut, 1);
    conn_close(shard, conn, finish_reason(conn));
}

static void conn_timer_ns(struct shard *shard, struct conn *conn, int64_t delay_ns)
{
    int64_t deadline_ns = shard->now_ns + delay_ns;
    if (conn->extra && conn->extra->stalled)
        conn->extra->deadline_ns = deadline_ns;
    else
        timers_arm(&shard->timers, conn_slot(shard, conn), deadline_ns);
}

void conn_timer(struct shard *shard, struct conn *conn, int64_t delay_ms)
{
    conn_timer_ns(shard, conn, delay_ms * 1000000);
}

/* Heartbeats keep to a phase of the interval that belongs to the slot. Timed from the last one they
 * would bunch: all that a broadcast had held up would be due together ever after. Neighbours share
 * a phase, since they share a table and pages. Who is out of phase gets there by two shorter steps:
 * none is below half of the interval, in which the peer has to answer, or above it. */
void conn_heartbeat(struct shard *shard, struct conn *conn)
{
    int64_t interval_ns = shard->settings->heartbeat_ms * 1000000;
    /* Multiples of the golden ratio: however many there are, they part the interval evenly. */
    uint64_t place = conn_slot(shard, conn) / HEARTBEAT_NEIGHBOURS * UINT64_C(0x9e3779b97f4a7c15);
    int64_t phase_ns = (int64_t)((unsigned __int128)place * (uint64_t)interval_ns >> 64);
    int64_t half_ns = shard->now_ns + interval_ns / 2;
    int64_t past_ns = ((half_ns - phase_ns) % interval_ns + interval_ns) % interval_ns;
    int64_t wait_ns = interval_ns / 2 + interval_ns - past_ns;
    conn_timer_ns(shard, conn, wait_ns > interval_ns ? wait_ns / 2 : wait_ns);
}

static void stall_check(struct shard *shard, struct conn *conn)
{
    if (!(conn->link & LINK_MOVED)) {
        conn_close(shard, conn, CLOSE_STALLED);
        return;
    }
    conn->link &= ~(uint32_t)LINK_MOVED;
    timers_arm(&shard->timers, conn_slot(shard, conn),
               shard->now_ns + shard->settings->stall_timeout_ms * 1000000);
}

void conn_timer_fired(void *context, uint32_t slot)
{
    struct shard *shard = context;
    struct conn *conn = conn_at(shard, slot);
    if (conn->extra && conn->extra->stalled)
        stall_check(shard, conn);
    else if (conn->state == CONN_FINISHING)
        finish_timer(shard, conn);
    else if (conn->link & LINK_HANDSHAKE)
        secure_timer(shard, conn);
    else if (conn_transport(shard, conn)->timer)
        conn_transport(shard, conn)->timer(shard, conn);
}

/* ---- reading on and off ---- */

void conn_watch_read(struct shard *shard, struct conn *conn)
{
    const uint32_t held = LINK_WATCH_READ | LINK_PAUSED | LINK_RECEIVING | LINK_INPUT_ENDED;
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
    ring_close(shard->ring, conn_slot(shard, conn));
}

/* The peer takes nothing. What the kernel still has for it would stay there until that gives up by
 * itself, after minutes. */
static bool peer_is_stuck(enum close_reason reason)
{
    return reason == CLOSE_HEARTBEAT || reason == CLOSE_SLOW_READER || reason == CLOSE_STALLED ||
           reason == CLOSE_QUEUE_TOTAL || reason == CLOSE_LINGER;
}

void conn_close(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    if (!conn_alive(conn))
        return;
    uint32_t slot = conn_slot(shard, conn);
    hub_unsubscribe_all(shard->hub, &conn->subscriptions);
    if (conn_transport(shard, conn)->closed)
        conn_transport(shard, conn)->closed(shard, conn);
    conn->state = CONN_CLOSING;
    timers_cancel(&shard->timers, slot);
    conn_queue_clear(shard, conn);
    if (conn->link & LINK_TLS)
        secure_closed(shard, conn);
    if (conn->extra) {
        assert(!conn->extra->transport_state && !conn->extra->gathering);
        stash_free(&conn->extra->input);
        stash_free(&conn->extra->record);
        conn->extra->stalled = false;
        conn_extra_trim(conn);
        assert(!conn->extra);
    }
    if (conn->link & LINK_WATCH_READ)
        ring_unwatch(shard->ring, slot, RING_READ);
    if (conn->link & LINK_WATCH_WRITE)
        ring_unwatch(shard->ring, slot, RING_WRITE);
    if (peer_is_stuck(reason))
        ring_abort(shard->ring, slot);
    shard->live--;
    counter_add(&shard->counters.closed[reason], 1);
    counter_set(&shard->counters.connections, shard->live);
    conn_release(shard, conn);
}

/* Many clients leave by a reset once they have read their last answer: that is no other end. */
void conn_broken(struct shard *shard, struct conn *conn, int err)
{
    if (conn->link & LINK_LINGERS || (err == -ETIMEDOUT && conn->state == CONN_FINISHING))
        conn_close(shard, conn, finish_reason(conn));
    else
        conn_close(shard, conn, err == -ETIMEDOUT ? CLOSE_STALLED : CLOSE_PEER_RESET);
}

/* Called when a finishing connection has sent everything. */
void conn_finished(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_KEYED && secure_goodbye(shard, conn))
        return;
    if (conn->link & (LINK_AT_ONCE | LINK_INPUT_ENDED)) {
        conn_close(shard, conn, conn->finish_reason);
        return;
    }
    assert(!(conn->link & (LINK_LINGERS | LINK_WATCH_WRITE)));
    conn->link |= LINK_LINGERS | LINK_WATCH_WRITE;
    ring_shutdown(shard->ring, conn_slot(shard, conn));
    conn_timer(shard, conn, LINGER_MS);
}

void conn_finish(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    if (conn->state != CONN_OPEN)
        return;
    hub_unsubscribe_all(shard->hub, &conn->subscriptions);
    conn->state = CONN_FINISHING;
    conn->finish_reason = reason;
    if (conn->link & LINK_PAUSED)
        conn_resume(shard, conn);
    conn_timer(shard, conn, LINGER_MS);
    if (!conn->out_block) {
        conn->link |= LINK_AT_ONCE;
        conn_finished(shard, conn);
    }
}
