/* rtc_peer: a peer: its handshake, its association, its turn, its end.
 *
 *   offer ─► first check ─► DTLS ─► keys, at the first record under them ─► SCTP ─► channels
 *     └ RTC_FIRST_MS ┘          └──────────────── RTC_OPEN_MS ────────────┘
 *                          checks: rtc_consent_ms */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "carrier/rtc_internal.h"
#include "http/body.h"
#include "tls/record.h"

enum {
    PACKETS_PER_TURN = 64, /* of a peer; the next turn goes on */
    HANDSHAKE_BYTES = 15 << 10,
};
static_assert((int)SCTP_PACKET_MAX + (int)DTLS_OVERHEAD_MAX <= (int)DATAGRAM_BYTES,
              "a packet and its record fit in a datagram");

#define MS INT64_C(1000000)

/* ---- beginning ---- */

static uint32_t random_32(void)
{
    uint32_t value;
    ssize_t len = getrandom(&value, sizeof value, 0);
    assert(len == sizeof value);
    return value;
}

static bool has_place(const struct rtc_port *port)
{
    const struct shard *shard = port->shard;
    return !shard->draining && shard->live < shard->live_max && !budgets_spent(shard, BUDGET_RTC) &&
           port->handshakes < shard->settings->rtc_handshakes_max;
}

/* Returns NULL when memory is out. */
static struct rtc_live *live_make(struct rtc *rtc, const struct sdp_offer *offer)
{
    const struct rtc_library *library = rtc_shard(rtc)->server->rtc;
    struct rtc_live *live = calloc(1, sizeof *live);
    if (!live)
        return NULL;
    live->rtc = rtc;
    live->began_ns = rtc_shard(rtc)->now_ns;
    live->say_again_ns = INT64_MAX;
    rtc_channels_init(live);
    sctp_init(&live->sctp, &library->sctp, &rtc_sctp_ops, offer->sctp_port, random_32() | 1,
              random_32());
    live->handshake = dtls_handshake_create(library->dtls, DTLS_SERVER, offer->fingerprint);
    if (!live->handshake) {
        free(live);
        return NULL;
    }
    rtc->port->handshakes++;
    return live;
}

static bool shakes_hands(const struct rtc *rtc)
{
    return !rtc->is_parked && rtc->live->handshake;
}

static void handshake_end(struct rtc *rtc)
{
    if (!shakes_hands(rtc))
        return;
    rtc->port->handshakes--;
    dtls_handshake_free(rtc->live->handshake);
    rtc->live->handshake = NULL;
}

/* Returns false when memory is out. */
static bool authorization_keep(struct rtc *rtc, char *authorization)
{
    if (authorization && !rtc_more(rtc))
        return false;
    if (authorization)
        rtc->more->authorization = authorization;
    return true;
}

/* Takes over the token, if it succeeds. Returns NULL when memory is out. */
static struct rtc *attach(struct rtc_port *port, struct conn *line, const struct sdp_offer *offer,
                          char *authorization)
{
    struct shard *shard = port->shard;
    struct rtc *rtc = calloc(1, sizeof *rtc);
    if (!rtc)
        return NULL;
    rtc->port = port;
    rtc_heard(rtc);
    rtc->live = live_make(rtc, offer);
    if (!rtc->live || !authorization_keep(rtc, authorization)) {
        if (rtc->live)
            handshake_end(rtc);
        free(rtc->live);
        free(rtc);
        return NULL;
    }
    carrier_init(&rtc->carrier, &rtc_ops, conn_slot(shard, line));
    stream_carries(shard, line, &rtc->carrier);
    return rtc;
}

struct rtc *rtc_begin(struct rtc_port *port, const struct sdp_offer *offer, char *authorization)
{
    struct shard *shard = port->shard;
    struct conn *line = has_place(port) ? stream_open(shard, &port->carrier, 1) : NULL;
    if (!line) {
        free(authorization);
        return NULL;
    }
    /* Nothing is sent on the line itself: what ends it ends it at once. */
    line->link |= LINK_END_SENT | LINK_INPUT_ENDED;
    line->transport = TRANSPORT_RTC;
    shard->live++;
    counter_add(&shard->counters.rtc_offers, 1);
    counter_add(&shard->counters.rtc_peers, 1);
    counter_set(&shard->counters.connections, shard->live);
    struct rtc *rtc = attach(port, line, offer, authorization);
    if (!rtc) {
        free(authorization);
        conn_end(shard, line, END_CLOSE, CLOSE_OVERLOADED);
        return NULL;
    }
    rtc_alarm_set(rtc);
    return rtc_account(rtc) ? rtc : NULL;
}

/* ---- sending ---- */

static void send_now(struct rtc *rtc, size_t len)
{
    const struct sockaddr_in6 peer = rtc_address(rtc);
    const struct in6_addr local = rtc_local(rtc);
    datagram_send(rtc_shard(rtc), DATAGRAM_RTC, rtc->carrier.slot, len, &peer, &local, 0);
}

static void handshake_flush(struct rtc *rtc)
{
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    size_t len;
    while (rtc->is_bound && (len = dtls_handshake_output(rtc->live->handshake, datagram)) > 0) {
        memcpy(datagram_room(rtc_shard(rtc), DATAGRAM_RTC), datagram, len);
        send_now(rtc, len);
    }
}

/* Seals the next packet of SCTP. Returns whether there was one. */
static bool packet_send(struct rtc *rtc)
{
    uint8_t *room = datagram_room(rtc_shard(rtc), DATAGRAM_RTC);
    uint8_t packet[SCTP_PACKET_MAX];
    size_t len = sctp_output(&rtc->live->sctp, (uint64_t)rtc_shard(rtc)->now_ns, packet);
    if (len == 0)
        return false;
    memcpy(room + dtls_record_head(&rtc->live->keys), packet, len);
    send_now(rtc, dtls_record_seal(&rtc->live->keys, TLS_APPLICATION_DATA, room, len));
    return true;
}

bool rtc_fresh(const struct rtc *rtc)
{
    int64_t fresh_ns = rtc_shard(rtc)->settings->rtc_consent_ms * MS / RTC_FRESH_PART;
    return rtc->is_bound && rtc_shard(rtc)->now_ns - rtc_heard_ns(rtc) < fresh_ns;
}

/* ---- the end ---- */

void rtc_end(struct rtc *rtc, enum close_reason reason)
{
    conn_end(rtc_shard(rtc), rtc_line(rtc), END_CLOSE, reason);
}

/* The peer is told, if it has keys to hear it by. */
static void say_end(struct rtc *rtc)
{
    struct rtc_live *live = shakes_hands(rtc) || !rtc->is_bound ? NULL : rtc_awake(rtc);
    if (!live)
        return;
    sctp_abort(&live->sctp);
    packet_send(rtc);
    send_now(rtc, dtls_close_seal(&live->keys, datagram_room(rtc_shard(rtc), DATAGRAM_RTC)));
}

static void rtc_free(struct rtc *rtc)
{
    if (rtc->is_parked) {
        explicit_bzero(rtc->parked, rtc_parked_bytes(rtc));
        free(rtc->parked);
    } else {
        sctp_done(&rtc->live->sctp);
        dtls_keys_wipe(&rtc->live->keys);
        free(rtc->live);
    }
    if (rtc->has_more) {
        free(rtc->more->authorization);
        free(rtc->more);
    }
    free(rtc);
}

static void rtc_closed(struct shard *shard, struct conn *line)
{
    struct rtc *rtc = rtc_of(shard, line);
    shard->live--;
    counter_set(&shard->counters.connections, shard->live);
    counter_sub(&shard->counters.rtc_peers, 1);
    if (!rtc)
        return;
    say_end(rtc);
    handshake_end(rtc);
    carrier_end_streams(shard, &rtc->carrier);
    carrier_done(shard, &rtc->carrier);
    budget_clear(&shard->budgets[BUDGET_RTC], &rtc->charge);
    alarms_cancel(&rtc->port->alarms, rtc->carrier.slot - shard->streams.first);
    rtc_unbind(rtc);
    stream_carries(shard, line, NULL);
    rtc->is_dead = true;
    if (!rtc->is_busy)
        rtc_free(rtc);
}

static enum close_reason reason_of(enum sctp_end end)
{
    switch (end) {
    case SCTP_LIVES:
    case SCTP_END_SHUTDOWN:
    case SCTP_END_ABORTED:
    case SCTP_END_ABORT:
        return CLOSE_DONE;
    case SCTP_END_TIMEOUT:
        return CLOSE_RTC_SILENT;
    case SCTP_END_PROTOCOL:
    case SCTP_END_SIZE:
        return CLOSE_RTC_SCTP;
    case SCTP_END_MEMORY:
        return CLOSE_OVERLOADED;
    }
    __builtin_unreachable();
}

static uint64_t held(const struct rtc *rtc)
{
    const char *authorization = rtc_authorization(rtc);
    uint64_t bytes = sizeof *rtc + (rtc->has_more ? sizeof *rtc->more : 0) +
                     (authorization ? strlen(authorization) + 1 : 0);
    if (rtc->is_parked)
        return bytes + rtc_parked_bytes(rtc);
    return bytes + sizeof *rtc->live + sctp_held(&rtc->live->sctp) +
           (rtc->live->handshake ? HANDSHAKE_BYTES : 0);
}

bool rtc_account(struct rtc *rtc)
{
    struct shard *shard = rtc_shard(rtc);
    struct conn *line = rtc_line(rtc);
    uint32_t generation = line->generation;
    budget_set(&shard->budgets[BUDGET_RTC], &rtc->charge, rtc->carrier.slot, held(rtc),
               shard->now_ns);
    budgets_relieve(shard, BUDGET_RTC);
    return line->generation == generation && line->state == CONN_OPEN;
}

/* ---- what comes ---- */

/* Returns false when the peer has ended. */
static bool packet_taken(struct rtc *rtc, const struct dtls_record *record)
{
    rtc->is_busy = true;
    (void)sctp_input(&rtc->live->sctp, (uint64_t)rtc_shard(rtc)->now_ns, record->bytes,
                     record->len);
    rtc->is_busy = false;
    if (rtc->is_dead) {
        rtc_free(rtc);
        return false;
    }
    carrier_due(rtc_shard(rtc), &rtc->carrier);
    return true;
}

/* What does not open is dropped: anybody may have sent it. */
static void sealed_taken(struct rtc *rtc, uint8_t *bytes, size_t len)
{
    struct rtc_live *live = rtc_awake(rtc);
    while (live && len > 0) {
        struct dtls_record record;
        uint8_t type;
        uint16_t epoch;
        int size = dtls_record_peek(bytes, len, &type, &epoch);
        if (size < 0)
            break;
        int opened = dtls_record_open(&live->keys, bytes, len, &record);
        if (opened < 0)
            counter_add(&rtc_shard(rtc)->counters.rtc_records_bad, 1);
        else if (record.type == TLS_APPLICATION_DATA && !packet_taken(rtc, &record))
            return;
        else if (record.type == TLS_ALERT) {
            rtc_end(rtc, CLOSE_DONE);
            return;
        }
        bytes += size;
        len -= (size_t)size;
    }
    if (live && !rtc->carrier.is_due)
        rtc_park(rtc); /* nothing of it was true */
}

/* A record under the new keys shows that the peer has heard our last flight: a true one, for until
 * then the peer says its own again, and only the session can answer. */
static bool is_parking(struct rtc *rtc, const uint8_t *bytes, size_t len)
{
    uint8_t type, copy[DATAGRAM_BYTES];
    uint16_t epoch;
    struct dtls_keys keys;
    struct dtls_record record;
    int size = rtc->is_shaken ? dtls_record_peek(bytes, len, &type, &epoch) : 0;
    if (size <= 0 || (size_t)size > sizeof copy || type != TLS_APPLICATION_DATA || epoch == 0)
        return false;
    memcpy(copy, bytes, (size_t)size);
    dtls_handshake_keys(rtc->live->handshake, &keys);
    bool opens = dtls_record_open(&keys, copy, (size_t)size, &record) > 0;
    dtls_keys_wipe(&keys);
    return opens;
}

static void handshake_taken(struct rtc *rtc, enum dtls_progress progress)
{
    handshake_flush(rtc);
    if (progress == DTLS_FAILED) {
        rtc_end(rtc, CLOSE_RTC_DTLS);
        return;
    }
    rtc->is_shaken = progress == DTLS_SHAKEN;
    unsigned wait_ms = dtls_handshake_wait_ms(rtc->live->handshake);
    rtc->live->say_again_ns =
        wait_ms > 0 ? rtc_shard(rtc)->now_ns + (int64_t)wait_ms * MS : INT64_MAX;
    rtc_alarm_set(rtc);
}

void rtc_records(struct rtc *rtc, uint8_t *bytes, size_t len)
{
    if (shakes_hands(rtc) && is_parking(rtc, bytes, len)) {
        dtls_handshake_keys(rtc->live->handshake, &rtc->live->keys);
        handshake_end(rtc);
        counter_add(&rtc_shard(rtc)->counters.rtc_handshakes, 1);
    }
    if (shakes_hands(rtc))
        handshake_taken(rtc, dtls_handshake_feed(rtc->live->handshake, bytes, len));
    else
        sealed_taken(rtc, bytes, len);
}

/* ---- deadlines ---- */

/* When the peer ends if nothing changes, and why. */
static int64_t ends_ns(const struct rtc *rtc, enum close_reason *ret)
{
    if (rtc->is_parked || sctp_open(&rtc->live->sctp)) {
        *ret = CLOSE_RTC_SILENT;
        return rtc_heard_ns(rtc) + rtc_shard(rtc)->settings->rtc_consent_ms * MS;
    }
    *ret = CLOSE_RTC_TIMEOUT;
    return rtc->live->began_ns + (rtc->is_bound ? RTC_OPEN_MS : RTC_FIRST_MS) * MS;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void rtc_alarm_set(struct rtc *rtc)
{
    enum close_reason reason;
    int64_t at = ends_ns(rtc, &reason);
    if (shakes_hands(rtc))
        at = least(at, rtc->live->say_again_ns);
    else if (!rtc->is_parked && sctp_deadline(&rtc->live->sctp) < (uint64_t)at)
        at = (int64_t)sctp_deadline(&rtc->live->sctp);
    alarms_set(&rtc->port->alarms, rtc->carrier.slot - rtc_shard(rtc)->streams.first, at);
}

void rtc_alarm(struct rtc *rtc)
{
    enum close_reason reason;
    int64_t now = rtc_shard(rtc)->now_ns;
    if (ends_ns(rtc, &reason) <= now) {
        rtc_end(rtc, reason);
        return;
    }
    if (shakes_hands(rtc) && rtc->live->say_again_ns <= now) {
        handshake_taken(rtc, dtls_handshake_timer(rtc->live->handshake));
        return;
    }
    if (rtc->is_parked || shakes_hands(rtc)) {
        rtc_alarm_set(rtc);
        return;
    }
    sctp_timer(&rtc->live->sctp, (uint64_t)now);
    carrier_due(rtc_shard(rtc), &rtc->carrier);
}

/* ---- a turn ---- */

/* Returns whether more packets are ready than a turn sends. */
static bool pump(struct rtc *rtc)
{
    unsigned packets = 0;
    bool took = true;
    while (took && packets < PACKETS_PER_TURN) {
        took = rtc_fill(rtc);
        while (packets < PACKETS_PER_TURN && packet_send(rtc))
            packets++;
    }
    return packets == PACKETS_PER_TURN;
}

static void rtc_turn(struct shard *shard, struct carrier *carrier)
{
    struct rtc *rtc = (struct rtc *)carrier;
    if (rtc_line(rtc)->state != CONN_OPEN)
        return;
    if (!rtc_awake(rtc)) {
        rtc_end(rtc, CLOSE_OVERLOADED);
        return;
    }
    rtc->is_busy = true;
    rtc_offer_lines(rtc);
    bool more = !shakes_hands(rtc) && rtc_fresh(rtc) && pump(rtc);
    if (!rtc->is_dead)
        rtc_settle(rtc);
    rtc->is_busy = false;
    if (rtc->is_dead) {
        rtc_free(rtc);
        return;
    }
    if (sctp_ended(&rtc->live->sctp) != SCTP_LIVES) {
        rtc_end(rtc, reason_of(sctp_ended(&rtc->live->sctp)));
        return;
    }
    rtc_park(rtc);
    if (!rtc_account(rtc))
        return;
    rtc_alarm_set(rtc);
    if (more)
        carrier_due(shard, carrier);
    else if (rtc->drains && carrier->count == 0)
        rtc_end(rtc, CLOSE_GOING_AWAY);
}

const struct carrier_ops rtc_ops = {
    .head = rtc_head,
    .turn = rtc_turn,
    .reset = rtc_reset,
    .read_on = rtc_read_on,
};

/* ---- the port, as a carrier of peers ---- */

/* Nothing is ever sent on the line of a peer. */
static void port_turn(struct shard *shard, struct carrier *carrier)
{
    (void)shard, (void)carrier;
}

static void port_reset(struct shard *shard, struct conn *line, enum close_reason reason)
{
    (void)shard, (void)line, (void)reason;
}

const struct carrier_ops rtc_port_ops = {
    .turn = port_turn,
    .reset = port_reset,
};

/* ---- the transport of a peer ---- */

static void rtc_drain(struct shard *shard, struct conn *line)
{
    struct rtc *rtc = rtc_of(shard, line);
    if (rtc->drains)
        return;
    rtc->drains = true;
    carrier_due(shard, &rtc->carrier);
    for (uint32_t slot = rtc->carrier.streams; slot != TIMERS_NONE;) {
        struct conn *stream = conn_at(shard, slot);
        slot = stream_link(shard, stream)->next;
        if (stream->state != CONN_OPEN)
            continue;
        if (conn_transport(shard, stream)->drain)
            conn_transport(shard, stream)->drain(shard, stream);
        else
            conn_end(shard, stream, END_SENT, CLOSE_GOING_AWAY);
    }
}

const struct transport rtc_transport = {
    .name = "rtc",
    .drain = rtc_drain,
    .closed = rtc_closed,
};
