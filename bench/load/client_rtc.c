/* client_rtc: WebRTC: signalling over HTTP, and data channels as WebSockets without frames.
 *
 *   POST /rtc, an offer ─► 201, an answer ─► the TCP connection ends ─► rtc_peer.c
 *   row.ask: OPEN, with the target as label ─► ACK ─► messages
 *
 * A reliable channel has all messages in order. On an unreliable one a later message takes the
 * place of those that could not leave, and what is lost on its way is not sent again: what is
 * missing then is no fault (PROTOCOL_LOSSY), and counted apart. */
#include <stdio.h>
#include <stdlib.h>

#include "load/rtc.h"
#include "wire/dcep.h"
#include "wire/http.h"

enum {
    SCTP_PORT_OF_ALL = 5000,
    OFFER_ROOM = 1024,
    STATUS_CREATED = 201,
};
#define UFRAG    SPAN("bench")
#define PASSWORD SPAN("the+bench+sends+no+checks") /* a lite agent never asks for it */

/* ---- signalling ---- */

static void offer_post(struct load *load, struct link *link)
{
    const struct group *group = link_group(load, link);
    char offer[OFFER_ROOM], *request = outbox_reserve(load, link, REQUEST_HEAD_MAX + OFFER_ROOM);
    int body = sdp_offer_write(offer, sizeof offer, UFRAG, PASSWORD,
                               dtls_identity_fingerprint(load->rtc->identity), SCTP_PORT_OF_ALL);
    assert(body > 0);
    int len = snprintf(request, REQUEST_HEAD_MAX,
                       "POST /rtc HTTP/1.1\r\nHost: %s\r\nContent-Type: application/sdp\r\n%s"
                       "Connection: close\r\nContent-Length: %d\r\n\r\n",
                       group->host, group->fields, body);
    assert(len > 0 && len < REQUEST_HEAD_MAX);
    memcpy(request + len, offer, (size_t)body);
    outbox_commit(load, link, (size_t)len + (size_t)body);
}

static void rtc_opened(struct load *load, struct link *link)
{
    struct rtc_peer *peer = calloc(1, sizeof *peer);
    assert(peer);
    peer->load = load;
    peer->link = link_index(load, link);
    peer->text = malloc(RTC_ANSWER_MAX);
    assert(peer->text);
    load->states[peer->link] = peer;
    offer_post(load, link);
}

static void refused(struct rtc_peer *peer, const struct http_response *response, struct span body)
{
    struct subscriber *subscriber = link_first(peer->load, rtc_link(peer));
    const struct http_field *field = http_field_find(&response->fields, SPAN("Retry-After"));
    subscriber_hint_answer(subscriber, field ? field->value : (struct span){0}, body);
    link_fail(peer->load, rtc_link(peer), status_failure(peer->load, subscriber, response->status));
}

/* The TCP connection has done what it was for. */
static void detach(struct rtc_peer *peer)
{
    struct load *load = peer->load;
    outbox_forget(load, rtc_link(peer));
    ring_abort(load->ring, peer->link);
    ring_close(load->ring, peer->link);
    free(peer->text);
    peer->text = NULL;
}

static void answer_whole(struct rtc_peer *peer, struct span body)
{
    struct sdp_answer answer;
    bool good = sdp_answer_read(&answer, body) == 0 && answer.ufrag.len <= RTC_NAME_MAX &&
                answer.password.len <= RTC_NAME_MAX;
    if (!good) {
        link_fail(peer->load, rtc_link(peer), LOAD_FAIL_HTTP);
        return;
    }
    char text[RTC_ANSWER_MAX]; /* what was read points into it */
    memcpy(text, body.ptr, body.len);
    (void)sdp_answer_read(&answer, span_of(text, body.len));
    detach(peer);
    rtc_begin(peer, &answer);
}

/* What is whole of the answer is its head, its length and all of its body. */
static void text_look(struct rtc_peer *peer)
{
    struct http_response response;
    int head = http_response_parse(&response, peer->text, peer->text_len, 0, RTC_ANSWER_MAX);
    if (head == 0)
        return;
    const struct http_field *length =
        head > 0 ? http_field_find(&response.fields, SPAN("Content-Length")) : NULL;
    size_t body_len = 0;
    for (size_t i = 0; length && i < length->value.len && body_len < RTC_ANSWER_MAX; i++)
        body_len = body_len * 10 + (size_t)(length->value.ptr[i] - '0');
    if (!length || body_len + (size_t)head > RTC_ANSWER_MAX) {
        link_fail(peer->load, rtc_link(peer), LOAD_FAIL_HTTP);
        return;
    }
    if (peer->text_len < (size_t)head + body_len)
        return;
    struct span body = span_of(peer->text + head, body_len);
    if (response.status == STATUS_CREATED)
        answer_whole(peer, body);
    else
        refused(peer, &response, body);
}

static void rtc_input(struct load *load, struct link *link, char *bytes, size_t len)
{
    struct rtc_peer *peer = rtc_of(load, link_index(load, link));
    if (len > RTC_ANSWER_MAX - peer->text_len) {
        link_fail(load, link, LOAD_FAIL_HTTP);
        return;
    }
    memcpy(peer->text + peer->text_len, bytes, len);
    peer->text_len += (uint32_t)len;
    text_look(peer);
}

static void rtc_closed(struct load *load, struct link *link)
{
    rtc_peer_end(rtc_of(load, link_index(load, link)));
}

/* ---- channels ---- */

static struct subscriber *subscriber_of(struct rtc_peer *peer, uint16_t stream)
{
    const struct link *link = rtc_link(peer);
    struct subscriber *first = link_first(peer->load, link);
    return stream < link_streams(peer->load, link) && subscriber_open(&first[stream])
               ? &first[stream]
               : NULL;
}

static void rtc_ask(struct load *load, struct subscriber *subscriber)
{
    const struct link *link = link_of(load, subscriber);
    struct rtc_peer *peer = rtc_of(load, link_index(load, link));
    char target[LOAD_TARGET_MAX];
    uint8_t open[DCEP_SIZE_MAX];
    bool lossy = link_protocol(load, link)->is & PROTOCOL_LOSSY;
    const struct dcep_open wanted = {
        .reliability = lossy ? DCEP_RETRANSMITS : DCEP_RELIABLE,
        .unordered = lossy,
        .label = subscriber_target(load, subscriber, group_of(load, subscriber)->path, target),
    };
    const struct sctp_message message = {
        .stream = (uint16_t)(subscriber - link_first(load, link)),
        .payload = DCEP_CONTROL,
        .bytes = span_of((const char *)open, dcep_write_open(open, &wanted)),
    };
    int err = sctp_send(&peer->sctp, &message, SCTP_RELIABLE);
    assert(err == 0);
}

static void control_taken(struct rtc_peer *peer, struct subscriber *subscriber, struct span bytes)
{
    struct dcep_open open;
    if (dcep_read(&open, bytes) != DCEP_ACKS)
        subscriber_fail(peer->load, subscriber, LOAD_FAIL_WEBSOCKET);
    else if (!(subscriber->flags & SUBSCRIBER_UP))
        subscriber_is_up(peer->load, subscriber);
}

/* An error says its status in its name alone. */
static void error_taken(struct load *load, struct subscriber *subscriber, struct span body)
{
    subscriber_hint_answer(subscriber, (struct span){0}, body);
    subscriber_fail(load, subscriber, LOAD_FAIL_STATUS);
}

/* Of a channel that may lose messages: it came behind a later one, and is no news. */
static bool is_late(const struct rtc_peer *peer, const struct subscriber *subscriber,
                    uint32_t number)
{
    const struct group *group = &peer->load->groups[subscriber->group];
    return group_is(group, PROTOCOL_LOSSY) && number != 0 &&
           sequence_of_number(group, number) < subscriber->place.expected;
}

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    struct rtc_peer *peer =
        (struct rtc_peer *)(void *)((char *)sctp - offsetof(struct rtc_peer, sctp));
    struct subscriber *subscriber = peer->is_over ? NULL : subscriber_of(peer, message->stream);
    if (!subscriber)
        return;
    if (message->payload == DCEP_CONTROL) {
        control_taken(peer, subscriber, message->bytes);
        return;
    }
    if (!payload_begins(message->bytes) && message->bytes.len > 0 && message->bytes.ptr[0] == '{') {
        error_taken(peer->load, subscriber, message->bytes);
        return;
    }
    struct payload payload = {0};
    payload_take(&payload, message->bytes);
    if (is_late(peer, subscriber, payload.number))
        return;
    subscriber_deliver(peer->load, subscriber, &payload);
}

static void on_reset(struct sctp *sctp, uint16_t stream)
{
    struct rtc_peer *peer =
        (struct rtc_peer *)(void *)((char *)sctp - offsetof(struct rtc_peer, sctp));
    struct subscriber *subscriber = peer->is_over ? NULL : subscriber_of(peer, stream);
    if (subscriber)
        subscriber_fail(peer->load, subscriber, LOAD_FAIL_END);
}

static void on_reusable(struct sctp *sctp, uint16_t stream)
{
    (void)sctp, (void)stream;
}

const struct sctp_ops rtc_sctp_ops = {on_message, on_reset, on_reusable};

/* ---- rows ---- */

const struct protocol protocol_webrtc_reliable = {
    .name = "webrtc-reliable",
    .path = "/ws?channel=%s",
    .is = PROTOCOL_RTC,
    .opened = rtc_opened,
    .ask = rtc_ask,
    .input = rtc_input,
    .closed = rtc_closed,
};

const struct protocol protocol_webrtc_unreliable = {
    .name = "webrtc-unreliable",
    .path = "/ws?channel=%s",
    .is = PROTOCOL_RTC | PROTOCOL_LOSSY,
    .opened = rtc_opened,
    .ask = rtc_ask,
    .input = rtc_input,
    .closed = rtc_closed,
};
