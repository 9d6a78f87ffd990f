/* rtc_channel: a data channel: a stream of SCTP, and a line for it.
 *
 *   OPEN, label "/ws?channel=news" ─► a request that opens a WebSocket ─► http/
 *   message ─► a frame, masked with zeros ─► input        a line's frames ─► messages
 *   the peer's reset ─► the line ends                     the line ends ─► our reset
 *
 * An answer that is no WebSocket is the channel's only message, and then it is closed. Pings go
 * nowhere: whether a peer is there its checks say. On a channel that may lose messages the latest
 * counts: when they cannot leave, all of a line's but the last are dropped. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/rtc_internal.h"
#include "conn/log.h"
#include "http/body.h"
#include "wire/dcep.h"
#include "wire/ws.h"

enum {
    AHEAD_MAX = 128 * 1024, /* given to SCTP, and not acknowledged: there no policy reaches it */
    FRAMES_PER_ROUND = 64,  /* of a line, before packets are made of them */
};

#define MS UINT64_C(1000000)

static struct rtc_channel *channel_of(struct rtc *rtc, unsigned id)
{
    return id < SCTP_STREAMS_MAX ? &rtc->live->channels[id] : NULL;
}

/* The stream of SCTP that a line is for. */
static uint16_t id_of(const struct rtc *rtc, const struct conn *stream)
{
    return (uint16_t)(stream_link(rtc_shard(rtc), stream)->id - 1);
}

static struct conn *line_of(struct rtc *rtc, unsigned id)
{
    const struct rtc_channel *channel = channel_of(rtc, id);
    return channel && channel->slot != TIMERS_NONE ? conn_at(rtc_shard(rtc), channel->slot) : NULL;
}

/* ---- opening ---- */

void rtc_channels_init(struct rtc_live *live)
{
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        live->channels[i] = (struct rtc_channel){.slot = TIMERS_NONE};
}

static void send_ack(struct rtc *rtc, uint16_t id)
{
    uint8_t ack[DCEP_ACK_SIZE];
    const struct sctp_message message = {
        .stream = id,
        .payload = DCEP_CONTROL,
        .bytes = {(const char *)ack, dcep_write_ack(ack)},
    };
    (void)sctp_send(&rtc->live->sctp, &message, SCTP_RELIABLE);
}

/* The request that a browser would send for a WebSocket, with the token of the offer. */
static void serve(struct rtc *rtc, struct conn *line, struct span target)
{
    struct http_request request = {0};
    if (rtc_authorization(rtc))
        request.fields.list[request.fields.count++] =
            (struct http_field){SPAN("authorization"), span_from(rtc_authorization(rtc))};
    int err = http_request_make(&request, SPAN("CONNECT"), target, SPAN("rtc"), SPAN("websocket"));
    if (err < 0)
        http_refuse_head(rtc_shard(rtc), line, refusal_http(err));
    else
        http_serve(rtc_shard(rtc), line, &request);
}

static struct sctp_effort effort_of(const struct dcep_open *open)
{
    struct sctp_effort effort = SCTP_RELIABLE;
    uint32_t limit = open->limit < RTC_LIMIT_MAX ? open->limit : RTC_LIMIT_MAX;
    if (open->reliability == DCEP_RETRANSMITS)
        effort.retransmits = limit;
    if (open->reliability == DCEP_LIFETIME)
        effort.until_ns = limit * MS;
    return effort;
}

static void channel_open(struct rtc *rtc, uint16_t id, const struct dcep_open *open)
{
    struct shard *shard = rtc_shard(rtc);
    struct rtc_channel *channel = &rtc->live->channels[id];
    bool free_id = channel->slot == TIMERS_NONE && !channel->is_ending;
    struct conn *line = free_id && !rtc->drains ? stream_open(shard, &rtc->carrier, id + 1) : NULL;
    if (!line) {
        log_refusal(shard, conn_at(shard, rtc->carrier.slot), REFUSAL_TABLE_FULL);
        if (free_id)
            (void)sctp_reset(&rtc->live->sctp, id);
        return;
    }
    *channel = (struct rtc_channel){
        .slot = conn_slot(shard, line),
        .effort = effort_of(open),
        .is_lossy = open->reliability != DCEP_RELIABLE,
        .is_unordered = open->unordered,
    };
    counter_add(&shard->counters.rtc_channels_opened, 1);
    send_ack(rtc, id);
    serve(rtc, line, open->label);
}

static void control_taken(struct rtc *rtc, const struct sctp_message *message)
{
    struct dcep_open open;
    int said = dcep_read(&open, message->bytes);
    if (said < 0)
        (void)sctp_reset(&rtc->live->sctp, message->stream);
    else if (said == DCEP_OPENS)
        channel_open(rtc, message->stream, &open);
}

/* ---- messages in ---- */

/* A frame as a client sends it; zeros are a mask, too. */
static void message_take(struct rtc *rtc, struct conn *line, enum ws_opcode opcode,
                         struct span payload)
{
    struct ws_frame_head head = {
        .length = payload.len,
        .opcode = (uint8_t)opcode,
        .fin = true,
        .masked = true,
    };
    char *frame = malloc(WS_FRAME_HEAD_MAX + payload.len);
    if (!frame) {
        conn_end(rtc_shard(rtc), line, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    size_t size = ws_frame_head_write(frame, &head);
    if (payload.len > 0)
        memcpy(frame + size, payload.ptr, payload.len);
    http_stream_input(rtc_shard(rtc), line, frame, size + payload.len);
    free(frame);
    if (line->state == CONN_OPEN)
        budgets_charge_input(rtc_shard(rtc), line);
}

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    struct rtc *rtc = rtc_of_sctp(sctp);
    if (message->payload == DCEP_CONTROL) {
        control_taken(rtc, message);
        return;
    }
    struct conn *line = line_of(rtc, message->stream);
    bool empty = message->payload == DCEP_TEXT_EMPTY || message->payload == DCEP_BINARY_EMPTY;
    bool text = message->payload == DCEP_TEXT || message->payload == DCEP_TEXT_EMPTY;
    bool known = text || message->payload == DCEP_BINARY || empty;
    if (!line || line->state != CONN_OPEN)
        return;
    if (known)
        message_take(rtc, line, text ? WS_TEXT : WS_BINARY,
                     empty ? (struct span){0} : message->bytes);
    else
        conn_end(rtc_shard(rtc), line, END_CLOSE, CLOSE_WS_PROTOCOL);
}

/* ---- the end ---- */

static void on_reset(struct sctp *sctp, uint16_t id)
{
    struct rtc *rtc = rtc_of_sctp(sctp);
    struct conn *line = line_of(rtc, id);
    if (line)
        conn_end(rtc_shard(rtc), line, END_CLOSE, CLOSE_DONE);
    else
        (void)sctp_reset(sctp, id); /* ours too, so that the number is free again */
}

static void on_reusable(struct sctp *sctp, uint16_t id)
{
    struct rtc_channel *channel = channel_of(rtc_of_sctp(sctp), id);
    if (channel)
        channel->is_ending = false;
}

const struct sctp_ops rtc_sctp_ops = {on_message, on_reset, on_reusable};

void rtc_reset(struct shard *shard, struct conn *stream, enum close_reason reason)
{
    (void)reason;
    struct rtc *rtc = (struct rtc *)stream_carrier(shard, stream);
    uint16_t id = id_of(rtc, stream);
    carrier_due(shard, &rtc->carrier);
    if (rtc->is_parked) {
        rtc_parked_reset(rtc, id);
        return;
    }
    rtc->live->channels[id].slot = TIMERS_NONE;
    rtc->live->channels[id].is_ending = sctp_reset(&rtc->live->sctp, id) == 0;
}

/* There is no window of a channel: what it sends before its answer is bounded there. */
void rtc_read_on(struct shard *shard, struct conn *stream)
{
    (void)shard, (void)stream;
}

void rtc_head(struct shard *shard, struct conn *stream, const struct http_response_head *head)
{
    struct rtc *rtc = (struct rtc *)stream_carrier(shard, stream);
    if (head->status >= 300)
        rtc->live->channels[id_of(rtc, stream)].is_refused = true;
}

/* ---- messages out ---- */

static int message_send(struct rtc *rtc, uint16_t id, uint32_t payload, struct span bytes)
{
    const struct rtc_channel *channel = &rtc->live->channels[id];
    struct sctp_effort effort = channel->effort;
    static const char zero[1];
    if (effort.until_ns != SCTP_NEVER)
        effort.until_ns += (uint64_t)rtc_shard(rtc)->now_ns;
    if (bytes.len == 0) {
        payload = payload == DCEP_TEXT ? DCEP_TEXT_EMPTY : DCEP_BINARY_EMPTY;
        bytes = span_of(zero, sizeof zero);
    }
    const struct sctp_message message = {
        .stream = id,
        .unordered = channel->is_unordered,
        .payload = payload,
        .bytes = bytes,
    };
    return sctp_send(&rtc->live->sctp, &message, effort);
}

/* What SCTP says of a message, to the line: whether it was taken, or waits. */
static bool sent(struct rtc *rtc, struct conn *line, int err)
{
    if (err == -EMSGSIZE)
        conn_end(rtc_shard(rtc), line, END_CLOSE, CLOSE_RTC_TOO_BIG);
    else if (err == -ENOMEM)
        conn_end(rtc_shard(rtc), line, END_CLOSE, CLOSE_OVERLOADED);
    return err == 0;
}

/* All that an error says, which is one run. */
static bool error_take(struct rtc *rtc, struct conn *line)
{
    const char *at = line->out_block->bytes + line->out_at;
    uint32_t len = line->out_len;
    if (!sent(rtc, line, message_send(rtc, id_of(rtc, line), DCEP_TEXT, span_of(at, len))))
        return false;
    conn_consume(rtc_shard(rtc), line, len);
    return true;
}

/* The frame that a line begins with: whole, in one run, for it was queued so. `passes_over`: it is
 * dropped for a later one. */
static bool frame_take(struct rtc *rtc, struct conn *line, bool passes_over)
{
    struct ws_frame_head head;
    const char *at = line->out_block->bytes + line->out_at;
    int size = ws_frame_head_parse(&head, at, line->out_len, WS_CLIENT, false);
    assert(size > 0 && (uint64_t)size + head.length <= line->out_len);
    const struct span payload = {at + size, (size_t)head.length};
    bool data = head.opcode == WS_TEXT || head.opcode == WS_BINARY;
    uint32_t kind = head.opcode == WS_TEXT ? DCEP_TEXT : DCEP_BINARY;
    if (data && passes_over)
        counter_add(&rtc_shard(rtc)->counters.rtc_superseded, 1);
    else if (data && !sent(rtc, line, message_send(rtc, id_of(rtc, line), kind, payload)))
        return false;
    if (!data)
        line->role &= ~(uint32_t)ROLE_PING_SENT;
    conn_consume(rtc_shard(rtc), line, (uint32_t)((uint64_t)size + head.length));
    return true;
}

/* Whether there is a frame behind the first. */
static bool has_later(const struct conn *line)
{
    struct ws_frame_head head;
    const char *at = line->out_block->bytes + line->out_at;
    int size = ws_frame_head_parse(&head, at, line->out_len, WS_CLIENT, false);
    return size > 0 && (uint64_t)size + head.length < conn_queued(line);
}

static bool has_room(const struct rtc *rtc)
{
    return sctp_owes(&rtc->live->sctp) < AHEAD_MAX;
}

static void line_is_empty(struct conn *line)
{
    line->link &= ~(uint32_t)LINK_OFFERED;
    if (line->state == CONN_FINISHING)
        line->link |= LINK_END_SENT | LINK_INPUT_ENDED;
}

/* Gives SCTP what a line has. Returns whether something was taken. */
static bool line_fill(struct rtc *rtc, struct conn *line)
{
    const struct rtc_channel *channel = &rtc->live->channels[id_of(rtc, line)];
    bool lossy = channel->is_lossy && !channel->is_refused, waits = sctp_waits(&rtc->live->sctp);
    unsigned taken = 0;
    while (line->out_block && taken < FRAMES_PER_ROUND && has_room(rtc)) {
        bool later = lossy && waits && has_later(line);
        if (lossy && waits && !later)
            break;
        if (!(channel->is_refused ? error_take(rtc, line) : frame_take(rtc, line, later)))
            break;
        taken++;
    }
    if (!conn_alive(line))
        return true;
    if (!line->out_block)
        line_is_empty(line);
    if (taken == 0)
        return false;
    if (line->extra)
        line->extra->moved = true;
    if (!(line->link & LINK_DIRTY))
        stream_ready(rtc_shard(rtc), line);
    return true;
}

void rtc_offer_lines(struct rtc *rtc)
{
    for (uint32_t slot = rtc->carrier.ready_head; slot != TIMERS_NONE;) {
        struct conn *line = conn_at(rtc_shard(rtc), slot);
        slot = line->next_dirty;
        if (line->state != CONN_CLOSING && !(line->link & LINK_END_SENT))
            line->link |= LINK_OFFERED;
    }
}

bool rtc_fill(struct rtc *rtc)
{
    bool took = false;
    for (unsigned id = 0; id < SCTP_STREAMS_MAX && !rtc->is_dead; id++) {
        struct conn *line = line_of(rtc, id);
        if (line && line->link & LINK_OFFERED)
            took |= line_fill(rtc, line);
    }
    return took && !rtc->is_dead;
}

void rtc_settle(struct rtc *rtc)
{
    struct shard *shard = rtc_shard(rtc);
    uint32_t slot = rtc->carrier.ready_head;
    rtc->carrier.ready_head = TIMERS_NONE;
    while (slot != TIMERS_NONE) {
        struct conn *line = conn_at(shard, slot);
        slot = line->next_dirty;
        line->link &= ~(uint32_t)LINK_DIRTY;
        stream_settle(shard, line, line->extra && line->extra->moved);
    }
}
