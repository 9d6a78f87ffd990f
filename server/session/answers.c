/* answers: what a client with a session is told and given. */
#include "session/session_internal.h"

#include <assert.h>

#include "core/message.h"
#include "session/presence.h"
#include "session/results.h"
#include "transport/encoder.h"
#include "transport/websocket.h"
#include "wire/ws.h"

enum {
    RESULT_MAX = 256, /* of a result, without its publications */
    PUSH_MAX = CHANNEL_NAME_MAX + 160,
    ENDED_CODE = 2001, /* below 2500, so that clients stay away */
};

void session_reply_empty(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_method method)
{
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    centrifuge_reply_empty(&out, id, method);
    websocket_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

void session_reply_error(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_error error)
{
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    counter_add(&shard->counters.commands_refused, 1);
    centrifuge_reply_error(&out, id, error);
    websocket_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

void session_push_unsubscribe(struct shard *shard, struct conn *conn, struct span channel,
                              unsigned code, struct span reason)
{
    char text[PUSH_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"push\":{\"channel\":\"");
    out_span(&out, channel);
    out_text(&out, "\",\"unsubscribe\":{\"code\":");
    out_decimal(&out, code);
    out_text(&out, ",\"reason\":\"");
    out_span(&out, reason);
    out_text(&out, "\"}}}");
    websocket_send(shard, conn, WS_TEXT, span_of(text, (size_t)out_end(&out)), SEND_CONTROL);
}

/* ---- results with publications ---- */

/* Where a subscription begins, and whether it can be begun again from there. */
static void standing_write(const struct shard *shard, struct out *out,
                           const struct hub_reply *reply)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, reply->subscription, &name.len);
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, name);
    if (namespace->recovery || namespace->latest_state)
        out_text(out, "\"recoverable\":true,");
    out_text(out, "\"positioned\":true");
    position_members_write(out, reply);
}

static void subscribe_result(const struct shard *shard, const struct conn *conn, struct out *out,
                             const struct hub_reply *reply)
{
    out_text(out, "{");
    standing_write(shard, out, reply);
    if (reply->recovered)
        out_text(out, ",\"recovered\":true");
    if (reply->was_recovering)
        out_text(out, ",\"was_recovering\":true");
    if (reply->count > 0) {
        out_text(out, ",");
        publications_write(out, reply);
    }
    ttl_write(shard, out, SPAN(","),
              subscription_end_of(session_of(shard, conn), reply->subscription));
    out_text(out, "}}");
}

static void history_result(const struct shard *shard, const struct conn *conn, struct out *out,
                           const struct hub_reply *reply)
{
    (void)shard;
    (void)conn;
    history_result_write(out, reply);
    out_text(out, "}");
}

/* A reply whose result is the hub's. */
static void reply_with(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                       enum centrifuge_method method,
                       void (*result)(const struct shard *shard, const struct conn *conn,
                                      struct out *out, const struct hub_reply *reply),
                       enum send_kind kind)
{
    size_t room = WS_FRAME_HEAD_MAX + RESULT_MAX + publications_room(reply);
    char *area = blocks_reserve(&shard->blocks, room);
    if (!area) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    /* The head's length is that of the text, which is known behind it. */
    struct out out = out_begin(area + WS_FRAME_HEAD_MAX, room - WS_FRAME_HEAD_MAX);
    centrifuge_reply_begin(&out, reply->ticket.tag, method);
    result(shard, conn, &out, reply);
    assert(!out.overflow);
    size_t text = (size_t)(out.at - out.start);
    const struct ws_frame_head head = {.length = text, .opcode = WS_TEXT, .fin = true};
    char bytes[WS_FRAME_HEAD_MAX];
    size_t head_len = ws_frame_head_write(bytes, &head);
    memcpy(area, bytes, head_len);
    memmove(area + head_len, out.start, text);
    conn_send(shard, conn, blocks_commit(&shard->blocks, head_len + text), kind, reply->count);
}

/* ---- what the hub has for it ---- */

/* A further part is publications, as they would have come live. */
static void resumed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (!reply->recovered)
        conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
    else if (reply->count > 0)
        conn_send(shard, conn, encode_ws_pushes(shard, reply->messages, reply->count), SEND_REPLAY,
                  reply->count);
}

/* A server has subscribed it: its client is told where the channel stands, then what it missed. */
static void pushed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    char text[PUSH_MAX];
    struct out out = out_begin(text, sizeof text);
    struct span name;
    name.ptr = hub_name_of(shard->hub, reply->subscription, &name.len);
    out_text(&out, "{\"push\":{\"channel\":\"");
    out_span(&out, name);
    out_text(&out, "\",\"subscribe\":{");
    standing_write(shard, &out, reply);
    out_text(&out, "}}}");
    websocket_send(shard, conn, WS_TEXT, span_of(text, (size_t)out_end(&out)), SEND_CONTROL);
    if (reply->count > 0 && conn->state == CONN_OPEN)
        conn_send(shard, conn, encode_ws_pushes(shard, reply->messages, reply->count), SEND_REPLAY,
                  reply->count);
}

static void subscribe_failed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    session_unsubscribe(shard, conn, reply->subscription);
    if (reply->ticket.tag != 0) /* nobody has asked for it, or knows of it */
        session_reply_error(shard, conn, reply->ticket.tag, CENTRIFUGE_ERROR_INTERNAL);
}

/* Nothing comes behind what it has been given: it is not subscribed any more, and need not try. */
static void channel_ended(struct shard *shard, struct conn *conn, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    session_push_unsubscribe(shard, conn, name, ENDED_CODE, SPAN("channel ended"));
    if (conn->state == CONN_OPEN)
        session_unsubscribe(shard, conn, subscription);
}

/* It is live. */
static void came(struct shard *shard, const struct conn *conn, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    presence_join(shard, conn, name);
}

void session_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->err < 0 && reply->resumed) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (reply->err < 0) {
        subscribe_failed(shard, conn, reply);
        return;
    }
    if (reply->resumed)
        resumed(shard, conn, reply);
    else if (reply->ticket.tag == 0)
        pushed(shard, conn, reply);
    else
        reply_with(shard, conn, reply, CENTRIFUGE_SUBSCRIBE, subscribe_result, SEND_REPLAY);
    if (conn->state != CONN_OPEN)
        return;
    if (!reply->more && reply->ended) {
        channel_ended(shard, conn, reply->subscription);
        replay_go_on(shard, conn);
        return;
    }
    if (!reply->more)
        came(shard, conn, reply->subscription);
    if (reply->more &&
        replay_note(session_of(shard, conn), reply->subscription, reply->epoch, reply->offset) < 0)
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
    replay_go_on(shard, conn);
}

bool session_owes_much(const struct shard *shard, const struct conn *conn)
{
    return conn_queued(conn) > (uint64_t)shard->settings->queue_bytes_max;
}

void session_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (session_owes_much(shard, conn)) {
        session_reply_error(shard, conn, reply->ticket.tag, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
        return;
    }
    if (reply->err < 0)
        session_reply_error(shard, conn, reply->ticket.tag, CENTRIFUGE_ERROR_INTERNAL);
    else if (!reply->recovered)
        session_reply_error(shard, conn, reply->ticket.tag, CENTRIFUGE_ERROR_UNRECOVERABLE);
    else
        reply_with(shard, conn, reply, CENTRIFUGE_HISTORY, history_result, SEND_ANSWER);
}

void session_published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                       uint64_t epoch, uint64_t offset)
{
    (void)epoch;
    (void)offset;
    if (err < 0)
        session_reply_error(shard, conn, ticket->tag, published_error(err));
    else
        session_reply_empty(shard, conn, ticket->tag, CENTRIFUGE_PUBLISH);
}

void session_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                     const struct hub_batch *batch)
{
    const struct encoding encoding = {FORMAT_WS_PUSH, FRAMING_NONE};
    conn_send(shard, conn, encoder_frame(shard, conn, batch, encoding), SEND_LIVE, batch->count);
    if (batch->messages[batch->count - 1]->last && conn->state == CONN_OPEN)
        channel_ended(shard, conn, subscription);
}

void session_events(struct shard *shard, struct conn *conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    (void)subscription;
    const struct encoding encoding = {FORMAT_WS_PUSH, FRAMING_NONE};
    conn_send(shard, conn, encoder_frame(shard, conn, batch, encoding), SEND_LIVE, 0);
}
