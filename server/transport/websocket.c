/* websocket: GET /ws and /echo (RFC 6455).
 *
 * With one channel each frame is a payload and nothing around it. With envelope=1 the first frame
 * is
 * {"position":P,"recovered":bool}, and each message is {"channel","offset","data","position"}.
 * Between messages a connection keeps nothing but its line: the parser's state is attached while a
 * message is half received. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/carrier.h"
#include "transport/catch_up.h"
#include "transport/compression.h"
#include "transport/gathering.h"
#include "transport/standing.h"
#include "transport/stream.h"
#include "transport/transports.h"
#include "transport/webtransport.h"
#include "transport/websocket.h"
#include "transport/ws_partial.h"
#include "transport/ws_publish.h"
#include "wire/out.h"
#include "wire/ws.h"

enum {
    CLOSE_WAIT_MS = 2000, /* for the peer's close frame after ours */
};

/* ---- frames of our own ---- */

static void send_control(struct shard *shard, struct conn *conn, enum ws_opcode opcode,
                         struct span payload, enum send_kind kind)
{
    char frame[WS_CONTROL_FRAME_MAX];
    size_t len = ws_control_write(frame, opcode, payload, NULL);
    conn_send(shard, conn, blocks_copy(&shard->blocks, frame, len), kind, 0);
}

static void send_close(struct shard *shard, struct conn *conn, unsigned code, struct span reason)
{
    char frame[WS_CONTROL_FRAME_MAX];
    if (conn->role & ROLE_CLOSE_SENT)
        return;
    stream_farewell(shard, conn, code, reason);
    conn_send_bytes(shard, conn, span_of(frame, ws_close_write(frame, code, reason, NULL)));
    conn->role |= ROLE_CLOSE_SENT;
}

void websocket_send(struct shard *shard, struct conn *conn, enum ws_opcode opcode,
                    struct span payload, enum send_kind kind)
{
    size_t room = WS_FRAME_HEAD_MAX + payload.len;
    char *area = blocks_reserve(&shard->blocks, room);
    if (!area) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    struct out out = out_begin(area, room);
    const struct ws_frame_head head = {
        .length = payload.len, .opcode = (uint8_t)opcode, .fin = true};
    out.at += ws_frame_head_write(out.at, &head);
    out_span(&out, payload);
    conn_send(shard, conn, blocks_commit(&shard->blocks, (size_t)(out.at - out.start)), kind, 0);
}

/* Says why by the reason's name; and to those who should come back, when: all of them together
 * would be a storm. */
static void say_why(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    char text[WS_REASON_MAX];
    struct span words;
    unsigned code = close_reason_disconnect(reason, &words);
    if (conn->role & ROLE_SESSION && code != 0) {
        send_close(shard, conn, code, words);
        return;
    }
    bool comes_back = reason == CLOSE_GOING_AWAY || reason == CLOSE_OVERLOADED ||
                      reason == CLOSE_INPUT_TOTAL || reason == CLOSE_ADDRESS_PUBLISHES;
    int len = comes_back ? snprintf(text, sizeof text, "%s retry_ms=%u", close_reason_name(reason),
                                    admission_retry_ms(&shard->admission))
                         : snprintf(text, sizeof text, "%s", close_reason_name(reason));
    assert(len > 0 && len < (int)sizeof text);
    send_close(shard, conn, close_reason_code(reason), span_of(text, (size_t)len));
}

void websocket_fail(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    say_why(shard, conn, reason);
    conn_end(shard, conn, END_LINGER, reason);
}

void websocket_fail_as(struct shard *shard, struct conn *conn, enum close_reason reason,
                       unsigned code, struct span words)
{
    send_close(shard, conn, code, words);
    conn_end(shard, conn, END_LINGER, reason);
}

void websocket_say_goodbye(struct shard *shard, struct conn *conn)
{
    say_why(shard, conn, CLOSE_GOING_AWAY);
    conn_timer(shard, conn, CLOSE_WAIT_MS);
}

/* Subscriptions end at once. */
static void websocket_drain(struct shard *shard, struct conn *conn)
{
    if (conn->role & ROLE_KEPT) {
        websocket_fail(shard, conn, CLOSE_GOING_AWAY); /* nobody answers with a close frame */
        return;
    }
    websocket_say_goodbye(shard, conn);
    hub_unsubscribe_all(shard->hub, &conn->subscriptions);
}

/* ---- what clients send ---- */

/* Nothing follows the peer's close frame (RFC 6455 section 5.5.1), and the server is the one to
 * close the connection (section 7.1.1). */
static void peer_closes(struct shard *shard, struct conn *conn, const struct ws_event *event)
{
    unsigned code =
        event->close_code == WS_CLOSE_NO_STATUS ? WS_CLOSE_NO_STATUS : event->close_code;
    enum close_reason reason = conn->role & ROLE_CLOSE_SENT ? CLOSE_GOING_AWAY : CLOSE_DONE;
    send_close(shard, conn, code, (struct span){0});
    conn_end(shard, conn, END_SENT, reason);
}

static enum close_reason reason_of(enum ws_error error)
{
    enum ws_close_code code = ws_error_close_code(error);
    if (code == WS_CLOSE_TOO_BIG)
        return CLOSE_WS_TOO_BIG;
    return code == WS_CLOSE_INVALID_DATA ? CLOSE_WS_UTF8 : CLOSE_WS_PROTOCOL;
}

static void message_take(struct shard *shard, struct conn *conn, struct span payload,
                         enum ws_opcode opcode)
{
    conn_transport(shard, conn)->message(shard, conn, payload, opcode == WS_TEXT);
}

/* What becomes of a text is looked at here, where all of it is there. */
static void message_inflate(struct shard *shard, struct conn *conn, struct span message,
                            enum ws_opcode opcode)
{
    char *bytes;
    size_t len;
    int err = compression_inflate(shard, message, &bytes, &len);
    if (err < 0) {
        websocket_fail(shard, conn, compression_close_reason(err));
        return;
    }
    if (opcode == WS_TEXT && !utf8_valid(span_of(bytes, len)))
        websocket_fail(shard, conn, CLOSE_WS_UTF8);
    else
        message_take(shard, conn, span_of(bytes, len), opcode);
    free(bytes);
}

static void echo_message(struct shard *shard, struct conn *conn, struct span payload, bool text)
{
    enum ws_opcode opcode = text ? WS_TEXT : WS_BINARY;
    if (!(conn->role & ROLE_DEFLATE)) {
        websocket_send(shard, conn, opcode, payload, SEND_ANSWER);
        return;
    }
    char *area = blocks_reserve(&shard->blocks, compression_ws_room(payload.len));
    if (!area) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    size_t len = compression_ws_frame(shard, area, opcode, payload);
    conn_send(shard, conn, blocks_commit(&shard->blocks, len), SEND_ANSWER, 0);
}

static void message_complete(struct shard *shard, struct conn *conn, struct span payload,
                             const struct ws_event *event)
{
    if (event->deflated)
        message_inflate(shard, conn, payload, event->opcode);
    else
        message_take(shard, conn, payload, event->opcode);
}

static void fragment_keep(struct shard *shard, struct conn *conn, struct span payload,
                          const struct ws_event *event)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra || stash_append(&extra->message, payload.ptr, payload.len,
                               (size_t)shard->settings->message_bytes_max) < 0) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (!event->last)
        return;
    struct stash whole = extra->message;
    extra->message = (struct stash){0};
    message_complete(shard, conn, span_of(whole.bytes, whole.len), event);
    stash_free(&whole);
}

/* Nothing is kept of what could not be taken when it is whole. */
static void handle_data(struct shard *shard, struct conn *conn, const struct ws_event *event)
{
    struct span payload = {event->payload, event->payload_len};
    if (conn->role & ROLE_CLOSE_SENT) {
        if (conn->extra)
            stash_free(&conn->extra->message);
        return;
    }
    if (conn->transport == TRANSPORT_WEBSOCKET && !shard->settings->websocket_publish)
        websocket_fail(shard, conn, CLOSE_WS_POLICY);
    else if (event->first && event->last)
        message_complete(shard, conn, payload, event);
    else
        fragment_keep(shard, conn, payload, event);
}

static void handle_event(struct shard *shard, struct conn *conn, const struct ws_event *event,
                         struct ws_partial *partial)
{
    struct span payload = {event->payload, event->payload_len};
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        handle_data(shard, conn, event);
        if (event->last)
            partial->since_ns = 0;
        break;
    case WS_EVENT_PING:
        if (!(conn->role & ROLE_CLOSE_SENT))
            send_control(shard, conn, WS_PONG, payload, SEND_PONG);
        break;
    case WS_EVENT_PONG:
        break;
    case WS_EVENT_CLOSE:
        peer_closes(shard, conn, event);
        break;
    case WS_EVENT_ERROR:
        websocket_fail(shard, conn, reason_of(event->error));
        break;
    }
}

void websocket_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    const struct ws_rules rules = {
        .role = WS_SERVER,
        .deflate = conn->role & ROLE_DEFLATE,
        .message_bytes_max = (uint64_t)shard->settings->message_bytes_max,
    };
    struct ws_partial partial;
    ws_partial_load(&partial, conn);
    struct ws_input input = {bytes, bytes + len};
    struct ws_event event;
    conn->role &= ~(uint32_t)ROLE_PING_SENT;
    do {
        ws_inbound_next(&partial.inbound, &rules, &input, &event);
        handle_event(shard, conn, &event, &partial);
    } while (event.kind != WS_EVENT_NONE && conn->state == CONN_OPEN);
    if (partial.since_ns == 0)
        partial.since_ns = shard->now_ns;
    if (ws_partial_store(shard, &partial, conn) < 0)
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
}

/* ---- heartbeat ---- */

/* Looked at with each heartbeat: pongs keep a connection, and not half a message. */
bool websocket_is_late(const struct shard *shard, const struct conn *conn)
{
    const struct ws_partial *partial = conn->extra ? conn->extra->transport_state : NULL;
    int64_t most_ns = shard->settings->body_timeout_ms * 1000000;
    return partial && shard->now_ns - partial->since_ns > most_ns;
}

/* Messages show the path to be there, and TCP takes note if nobody acknowledges them. That the
 * client still reads is shown by the answer to a ping alone: so one is sent in between. */
static bool heartbeat_skip(struct shard *shard, struct conn *conn)
{
    const struct settings *settings = shard->settings;
    int64_t skipped = settings->heartbeats_skipped_max + 1;
    int64_t apart =
        settings->heartbeats_per_ping > skipped ? settings->heartbeats_per_ping : skipped;
    if (conn->since_ping == 0 || conn->since_ping > 2 * apart)
        return false;
    unsigned halves = conn_heartbeat_skip(shard, conn);
    conn->since_ping = (uint8_t)(conn->since_ping + halves);
    return halves > 0;
}

static void heartbeat_send(struct shard *shard, struct conn *conn)
{
    bool ping =
        conn->since_ping == 0 || conn->since_ping > 2 * shard->settings->heartbeats_per_ping;
    conn->since_ping = ping ? 3 : (uint8_t)(conn->since_ping + 2); /* when the next is due */
    if (ping)
        conn->role |= ROLE_PING_SENT;
    counter_add(&shard->counters.pings, 1);
    send_control(shard, conn, ping ? WS_PING : WS_PONG, (struct span){0}, SEND_CONTROL);
    conn_heartbeat(shard, conn);
}

static void websocket_timer(struct shard *shard, struct conn *conn)
{
    if (conn->role & ROLE_CLOSE_SENT) {
        conn_end(shard, conn, END_CLOSE, CLOSE_GOING_AWAY);
    } else if (conn->role & ROLE_PING_SENT) {
        conn_end(shard, conn, END_CLOSE, CLOSE_HEARTBEAT);
    } else if (websocket_is_late(shard, conn)) {
        websocket_fail(shard, conn, CLOSE_WS_TIMEOUT);
    } else if (conn->role & ROLE_KEPT) {
        conn_heartbeat(shard, conn);
    } else if (!heartbeat_skip(shard, conn)) {
        heartbeat_send(shard, conn);
    }
}

void websocket_give_up(struct shard *shard, struct conn *conn)
{
    ws_partial_discard(conn);
    say_why(shard, conn, CLOSE_INPUT_TOTAL);
}

void websocket_closed(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.streams_websocket, 1);
    ws_partial_discard(conn);
    gathering_end(conn);
    catch_up_end(conn);
}

/* ---- what the hub has for it ---- */

static void write_standing(struct shard *shard, struct conn *conn, const struct position *positions,
                           unsigned count)
{
    char text[POSITION_TOKEN_MAX(SETTINGS_CHANNELS_MAX) + 64];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"position\":\"");
    out.at += position_write(out.at, positions, count);
    out_text(&out, "\",\"recovered\":");
    out_span(&out, conn->asked & ASKED_RECOVERED ? SPAN("true") : SPAN("false"));
    out_text(&out, "}");
    websocket_send(shard, conn, WS_TEXT, span_of(text, (size_t)(out.at - out.start)), SEND_CONTROL);
}

static void write_messages(struct shard *shard, struct conn *conn, struct message *const *messages,
                           unsigned count, const struct standing *standing, enum send_kind kind)
{
    conn_send(shard, conn, encode_ws_envelopes(shard, messages, count, standing), kind, count);
}

static const struct stream_writer writer = {write_standing, write_messages};

static void fail_if(struct shard *shard, struct conn *conn, int err)
{
    if (err < 0)
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
}

/* Raw, there is nothing around a payload in which to say that a position is gone: the close code
 * does. */
static void subscribed_raw(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (stream_outrun(shard, conn, reply))
        return;
    if (conn->asked & ASKED_SINCE && !reply->recovered) {
        websocket_fail(shard, conn, CLOSE_UNRECOVERABLE);
        return;
    }
    if (reply->count > 0)
        conn_send(shard, conn, encode_ws_raw(shard, reply->messages, reply->count), SEND_REPLAY,
                  reply->count);
    fail_if(shard, conn, stream_replayed(shard, conn, reply));
}

static void websocket_subscribed(struct shard *shard, struct conn *conn,
                                 const struct hub_reply *reply)
{
    if (reply->err < 0)
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
    else if (conn->asked & ASKED_ENVELOPE)
        fail_if(shard, conn, stream_subscribed(shard, conn, reply, &writer));
    else
        subscribed_raw(shard, conn, reply);
    if (reply->ended && !(conn->asked & ASKED_SEVERAL) && conn->state == CONN_OPEN)
        websocket_fail(shard, conn, CLOSE_ENDED);
}

static void deliver_alone(struct shard *shard, struct conn *conn, uint32_t subscription,
                          const struct hub_batch *batch)
{
    struct encoding encoding = {
        conn->asked & ASKED_ENVELOPE ? FORMAT_WS_ENVELOPE : FORMAT_WS_RAW, FRAMING_NONE,
        conn->role & ROLE_DEFLATE ? CODING_DEFLATED : CODING_PLAIN, TELL_WHOLE};
    if (stream_takes_deltas(shard, conn, subscription))
        encoding.telling = TELL_CHANGES;
    conn_send(shard, conn, encoder_frame(shard, conn, batch, encoding), SEND_LIVE, batch->count);
}

static void websocket_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                              const struct hub_batch *batch)
{
    if (conn->asked & ASKED_SEVERAL)
        fail_if(shard, conn, stream_deliver_several(shard, conn, subscription, batch, &writer));
    else
        deliver_alone(shard, conn, subscription, batch);
    bool ends = batch->messages[batch->count - 1]->last && !(conn->asked & ASKED_SEVERAL);
    if (ends && conn->state == CONN_OPEN)
        websocket_fail(shard, conn, CLOSE_ENDED);
}

static void websocket_events(struct shard *shard, struct conn *conn, uint32_t subscription,
                             const struct hub_batch *batch)
{
    if (stream_hears(conn, batch))
        websocket_deliver(shard, conn, subscription, batch);
}

/* ---- the handshake ---- */

bool websocket_handshake(struct shard *shard, struct conn *conn, const struct http_request *request,
                         struct span *key)
{
    int err = ws_handshake_check(request, key);
    if (err == 0)
        err = compression_agree(shard, conn, request);
    if (err == 0)
        return true;
    enum refusal refusal = refusal_handshake(err);
    http_refuse_fields(shard, conn, refusal,
                       refusal_status(refusal) == 426 ? SPAN(WS_VERSION_FIELDS) : (struct span){0});
    return false;
}

static void send_answer(struct shard *shard, struct conn *conn, struct span key)
{
    char answer[512], field[WS_DEFLATE_FIELD_MAX];
    struct span extra = span_of(field, compression_field(shard, conn, field));
    if (conn->link & LINK_STREAM) {
        http_head_send(
            shard, conn,
            &(struct http_head){.status = 200, .framing = HTTP_FRAMING_CLOSE, .extra = extra});
        return;
    }
    int len = ws_handshake_answer_write(answer, sizeof answer, key, extra);
    assert(len > 0);
    conn_send_bytes(shard, conn, span_of(answer, (size_t)len));
}

/* To send may be its end: then it has been a WebSocket, and gives back what that has. */
void websocket_begin(struct shard *shard, struct conn *conn, struct span key,
                     enum transport_id transport)
{
    conn_hand_over(conn, transport);
    counter_add(&shard->counters.streams_websocket, 1);
    if (conn->role & ROLE_DEFLATE)
        counter_add(&shard->counters.deflate_accepted, 1);
    send_answer(shard, conn, key);
    if (conn->state == CONN_OPEN)
        conn_heartbeat(shard, conn);
}

const struct transport websocket_transport = {
    .name = "websocket",
    .is_tunnel = true,
    .opened = wt_opened,
    .opened_one_way = wt_opened_one_way,
    .input = websocket_input,
    .message = ws_publish,
    .give_up = websocket_give_up,
    .drained = catch_up_drained,
    .signed_off = websocket_fail,
    .timer = websocket_timer,
    .drain = websocket_drain,
    .closed = websocket_closed,
    .subscribed = websocket_subscribed,
    .deliver = websocket_deliver,
    .events = websocket_events,
    .published = ws_published,
};

const struct transport echo_transport = {
    .name = "echo",
    .is_tunnel = true,
    .opened = wt_opened,
    .opened_one_way = wt_opened_one_way,
    .input = websocket_input,
    .message = echo_message,
    .give_up = websocket_give_up,
    .drained = catch_up_drained,
    .timer = websocket_timer,
    .drain = websocket_drain,
    .closed = websocket_closed,
};
