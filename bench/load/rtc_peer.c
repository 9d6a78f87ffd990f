/* rtc_peer: a peer: checks of its path, handshake, association, its end. */
#include <stdlib.h>

#include "load/rtc.h"
#include "tls/record.h"
#include "wire/stun.h"

enum {
    PACKETS_AT_ONCE = 64,        /* of one peer, before others have their turn */
    CHECK_PRIORITY = 1853824767, /* a peer-reflexive candidate's, as browsers have it */
    FIRST_STUN_MAX = 3,
};
#define MS  INT64_C(1000000)
#define OWN SPAN(":bench") /* our user fragment, behind the server's */

static const struct sctp_settings settings = {
    .message_bytes_max = LOAD_ECHO_BYTES_MAX,
    .send_bytes_max = RTC_SEND_BYTES,
    .receive_bytes_max = RTC_RECEIVE_BYTES,
};

/* splitmix64: what has to differ here is no secret. */
static uint64_t draw(struct load *load)
{
    uint64_t z = (load->opener.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t least(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static void set_alarm(struct rtc_peer *peer)
{
    int64_t at_ns = least(peer->check_ns, peer->say_again_ns);
    if (peer->phase >= RTC_OPENS && sctp_deadline(&peer->sctp) < (uint64_t)at_ns)
        at_ns = (int64_t)sctp_deadline(&peer->sctp);
    rtc_alarm_set(peer, at_ns);
}

/* ---- checks ---- */

static void check(struct rtc_peer *peer)
{
    struct load *load = peer->load;
    char name[RTC_NAME_MAX + 8];
    memcpy(name, peer->name, peer->name_len);
    memcpy(name + peer->name_len, OWN.ptr, OWN.len);
    uint64_t random[2] = {draw(load), draw(load)};
    memcpy(peer->transaction, random, sizeof peer->transaction);
    const struct stun_request request = {
        .transaction = peer->transaction,
        .username = span_of(name, peer->name_len + OWN.len),
        .priority = CHECK_PRIORITY,
        .controlling = true,
        .use_candidate = true,
    };
    struct stun_key key;
    stun_key_init(&key, span_of(peer->password, peer->password_len));
    int len = stun_write(rtc_room(load), RTC_PACKET_ROOM, &request, &key);
    assert(len > 0);
    rtc_send(peer, (size_t)len);
    bool first = peer->phase == RTC_CHECKS;
    peer->check_ns = load->now_ns + (first ? RTC_CHECK_AGAIN_MS : RTC_CHECK_MS) * MS;
}

void rtc_begin(struct rtc_peer *peer, const struct sdp_answer *answer)
{
    struct load *load = peer->load;
    peer->server = (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons(answer->port),
        .sin6_addr = answer->addresses[0],
    };
    peer->name_len = (uint8_t)answer->ufrag.len;
    peer->password_len = (uint8_t)answer->password.len;
    memcpy(peer->name, answer->ufrag.ptr, answer->ufrag.len);
    memcpy(peer->password, answer->password.ptr, answer->password.len);
    memcpy(peer->fingerprint, answer->fingerprint, sizeof peer->fingerprint);
    peer->phase = RTC_CHECKS;
    peer->say_again_ns = INT64_MAX;
    peer->answered_ns = load->now_ns;
    sctp_init(&peer->sctp, &settings, &rtc_sctp_ops, answer->sctp_port, (uint32_t)draw(load) | 1,
              (uint32_t)draw(load));
    rtc_port_begin(peer);
    check(peer);
    set_alarm(peer);
}

/* ---- handshake ---- */

static void flights_send(struct rtc_peer *peer)
{
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    size_t len;
    while ((len = dtls_handshake_output(peer->handshake, datagram)) > 0) {
        memcpy(rtc_room(peer->load), datagram, len);
        rtc_send(peer, len);
    }
}

static void shaken(struct rtc_peer *peer)
{
    struct load *load = peer->load;
    dtls_handshake_keys(peer->handshake, &peer->keys);
    dtls_handshake_free(peer->handshake);
    peer->handshake = NULL;
    peer->phase = RTC_OPENS;
    peer->say_again_ns = INT64_MAX;
    sctp_connect(&peer->sctp, (uint64_t)load->now_ns);
    rtc_due(peer);
}

static void shake(struct rtc_peer *peer, enum dtls_progress progress)
{
    flights_send(peer);
    if (progress == DTLS_FAILED) {
        link_fail(peer->load, rtc_link(peer), LOAD_FAIL_TLS);
        return;
    }
    if (progress == DTLS_SHAKEN) {
        shaken(peer);
        return;
    }
    unsigned wait_ms = dtls_handshake_wait_ms(peer->handshake);
    peer->say_again_ns = wait_ms > 0 ? peer->load->now_ns + (int64_t)wait_ms * MS : INT64_MAX;
    set_alarm(peer);
}

static void shake_begin(struct rtc_peer *peer)
{
    peer->phase = RTC_SHAKES;
    peer->check_ns = peer->load->now_ns + RTC_CHECK_MS * MS;
    peer->handshake =
        dtls_handshake_create(peer->load->rtc->identity, DTLS_CLIENT, peer->fingerprint);
    if (peer->handshake)
        shake(peer, DTLS_SHAKING);
    else
        link_fail(peer->load, rtc_link(peer), LOAD_FAIL_TLS);
}

/* ---- what comes ---- */

static void answer_taken(struct rtc_peer *peer, const uint8_t *bytes, size_t len)
{
    struct stun_key key;
    stun_key_init(&key, span_of(peer->password, peer->password_len));
    if (!stun_answers(bytes, len, peer->transaction, &key))
        return;
    peer->answered_ns = peer->load->now_ns;
    if (peer->phase == RTC_CHECKS)
        shake_begin(peer);
}

/* Its link has perhaps ended while it was busy. Returns whether it is still there. */
static bool is_there(struct rtc_peer *peer)
{
    peer->is_busy = false;
    if (!peer->is_over)
        return true;
    rtc_peer_end(peer);
    return false;
}

static bool packet_taken(struct rtc_peer *peer, const struct dtls_record *record)
{
    peer->is_busy = true;
    (void)sctp_input(&peer->sctp, (uint64_t)peer->load->now_ns, record->bytes, record->len);
    if (peer->phase == RTC_OPENS && sctp_open(&peer->sctp)) {
        peer->phase = RTC_STANDS;
        link_ask_all(peer->load, rtc_link(peer));
    }
    if (!is_there(peer))
        return false;
    rtc_due(peer);
    return true;
}

static void records_taken(struct rtc_peer *peer, uint8_t *bytes, size_t len)
{
    uint8_t type;
    uint16_t epoch;
    int size;
    while (len > 0 && (size = dtls_record_peek(bytes, len, &type, &epoch)) > 0) {
        struct dtls_record record;
        int opened = dtls_record_open(&peer->keys, bytes, len, &record);
        if (opened > 0 && record.type == TLS_ALERT) {
            link_ended(peer->load, rtc_link(peer));
            return;
        }
        if (opened > 0 && record.type == TLS_APPLICATION_DATA && !packet_taken(peer, &record))
            return;
        bytes += size;
        len -= (size_t)size;
    }
}

void rtc_take(struct rtc_peer *peer, uint8_t *bytes, size_t len)
{
    struct load_counters *counters = &link_group(peer->load, rtc_link(peer))->counters;
    counters->bytes_in += len;
    counters->reads++;
    if (bytes[0] <= FIRST_STUN_MAX)
        answer_taken(peer, bytes, len);
    else if (peer->phase == RTC_SHAKES)
        shake(peer, dtls_handshake_feed(peer->handshake, bytes, len));
    else if (peer->phase >= RTC_OPENS)
        records_taken(peer, bytes, len);
}

/* ---- what is due ---- */

void rtc_alarm(struct rtc_peer *peer)
{
    struct load *load = peer->load;
    if (load->now_ns - peer->answered_ns > RTC_GONE_MS * MS) {
        link_ended(load, rtc_link(peer));
        return;
    }
    if (peer->check_ns <= load->now_ns)
        check(peer);
    if (peer->phase == RTC_SHAKES && peer->say_again_ns <= load->now_ns) {
        shake(peer, dtls_handshake_timer(peer->handshake));
        return;
    }
    if (peer->phase >= RTC_OPENS)
        sctp_timer(&peer->sctp, (uint64_t)load->now_ns);
    rtc_due(peer);
}

/* Returns whether there was a packet. */
static bool packet_send(struct rtc_peer *peer)
{
    struct load *load = peer->load;
    uint8_t packet[SCTP_PACKET_MAX];
    size_t len = sctp_output(&peer->sctp, (uint64_t)load->now_ns, packet);
    if (len == 0)
        return false;
    uint8_t *room = rtc_room(load);
    memcpy(room + dtls_record_head(&peer->keys), packet, len);
    rtc_send(peer, dtls_record_seal(&peer->keys, TLS_APPLICATION_DATA, room, len));
    return true;
}

void rtc_write(struct rtc_peer *peer)
{
    unsigned packets = 0;
    while (peer->phase >= RTC_OPENS && packets < PACKETS_AT_ONCE && packet_send(peer))
        packets++;
    if (packets == PACKETS_AT_ONCE)
        rtc_alarm_set(peer, peer->load->now_ns);
    if (peer->phase >= RTC_OPENS && sctp_ended(&peer->sctp) != SCTP_LIVES)
        link_ended(peer->load, rtc_link(peer));
    else
        set_alarm(peer);
}

/* ---- the end ---- */

void rtc_peer_end(struct rtc_peer *peer)
{
    if (!peer)
        return;
    struct load *load = peer->load;
    load->states[peer->link] = NULL;
    rtc_port_forget(peer);
    peer->is_over = true;
    if (peer->is_busy)
        return;
    if (peer->phase >= RTC_OPENS) {
        sctp_abort(&peer->sctp);
        (void)packet_send(peer);
        rtc_send(peer, dtls_close_seal(&peer->keys, rtc_room(load)));
        sctp_done(&peer->sctp);
    }
    dtls_handshake_free(peer->handshake);
    dtls_keys_wipe(&peer->keys);
    free(peer->text);
    free(peer);
}
