/* answers: what a client with a session is told and given. */
#include "session/session_internal.h"

#include "core/message.h"
#include "session/asking.h"
#include "session/presence.h"
#include "session/results.h"
#include "transport/pushes.h"

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
    session_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

void session_reply_error(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_error error)
{
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    counter_add(&shard->counters.commands_refused, 1);
    centrifuge_reply_error(&out, id, error);
    session_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

void session_push_unsubscribe(struct shard *shard, struct conn *conn, struct span channel,
                              unsigned code, struct span reason)
{
    char text[PUSH_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, channel);
    out_text(&out, "\",\"unsubscribe\":{\"code\":");
    out_decimal(&out, code);
    out_text(&out, ",\"reason\":\"");
    out_span(&out, reason);
    out_text(&out, "\"}}");
    session_push(shard, conn, span_of(text, (size_t)out_end(&out)));
}

void session_data_write(struct out *out, struct span data)
{
    if (data.len == 0)
        return;
    out_text(out, ",\"data\":");
    out_span(out, data);
    if (!out->overflow)
        centrifuge_unbreak(out->at - data.len, data.len);
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

static bool has_deltas(const struct shard *shard, uint32_t subscription)
{
    return subscription != HUB_NONE && hub_keeps_last(shard->hub, subscription);
}

/* How a reply gives its publications: those of a history as they are. */
static enum centrifuge_coding coding_of(const struct shard *shard, const struct hub_reply *reply)
{
    return has_deltas(shard, reply->subscription) ? CENTRIFUGE_STRING : CENTRIFUGE_PLAIN;
}

/* Whether an application says that it goes on, and not a token of its client. */
static bool is_refreshed(const struct shard *shard, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    return namespace_of(&shard->settings->namespaces, name)->proxy_sub_refresh;
}

void session_subscription_write(const struct shard *shard, const struct conn *conn, struct out *out,
                                const struct hub_reply *reply)
{
    out_text(out, "{");
    standing_write(shard, out, reply);
    if (reply->recovered)
        out_text(out, ",\"recovered\":true");
    if (reply->was_recovering)
        out_text(out, ",\"was_recovering\":true");
    if (has_deltas(shard, reply->subscription))
        out_text(out, ",\"delta\":true");
    if (reply->count > 0) {
        out_text(out, ",");
        publications_write(out, reply, coding_of(shard, reply));
    }
    session_data_write(out, asking_data_of(session_of(shard, conn), reply->subscription));
    if (!is_refreshed(shard, reply->subscription))
        ttl_write(shard, out, SPAN(","),
                  subscription_end_of(session_of(shard, conn), reply->subscription));
    out_text(out, "}");
}

static void subscribe_result(const struct shard *shard, const struct conn *conn, struct out *out,
                             const struct hub_reply *reply)
{
    session_subscription_write(shard, conn, out, reply);
    out_text(out, "}");
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
    size_t room = RESULT_MAX + publications_room(reply, coding_of(shard, reply)) +
                  asking_data_of(session_of(shard, conn), reply->subscription).len;
    char *area = session_text_begin(shard, conn, room);
    if (!area)
        return;
    struct out out = out_begin(area, room);
    centrifuge_reply_begin(&out, reply->ticket.tag, method);
    result(shard, conn, &out, reply);
    session_text_send(shard, conn, area, (size_t)out_end(&out), kind, reply->count);
}

/* ---- what the hub has for it ---- */

/* What a reply gives, as publications that would have come live. */
static void replay_push(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    const struct pushes pushes = {.messages = reply->messages, .count = reply->count};
    struct encoding encoding = session_encoding(conn);
    encoding.coding = CODING_PLAIN;
    if (has_deltas(shard, reply->subscription))
        encoding.telling = TELL_STRINGS;
    if (reply->count > 0 && conn->state == CONN_OPEN)
        conn_send(shard, conn, encode_pushes(shard, &pushes, encoding), SEND_REPLAY, reply->count);
}

/* A further part. */
static void resumed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (!reply->recovered)
        conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
    else
        replay_push(shard, conn, reply);
}

/* A server has subscribed it: its client is told where the channel stands, then what it missed. */
static void pushed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    char text[PUSH_MAX];
    struct out out = out_begin(text, sizeof text);
    struct span name;
    name.ptr = hub_name_of(shard->hub, reply->subscription, &name.len);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, name);
    out_text(&out, "\",\"subscribe\":{");
    standing_write(shard, &out, reply);
    out_text(&out, "}}");
    session_push(shard, conn, span_of(text, (size_t)out_end(&out)));
    replay_push(shard, conn, reply);
}

static void subscribe_failed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->ticket.tag == 0 && conn->role & ROLE_CONNECTING) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
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

static void answered(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    reply_with(shard, conn, reply, CENTRIFUGE_SUBSCRIBE, subscribe_result, SEND_REPLAY);
    if (conn->state == CONN_OPEN)
        asking_data_forget(session_of(shard, conn), reply->subscription);
}

void session_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (reply->err < 0 && reply->resumed) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (reply->err < 0) {
        subscribe_failed(shard, conn, reply);
        return;
    }
    if (reply->resumed)
        resumed(shard, conn, reply);
    else if (reply->ticket.tag == 0 && conn->role & ROLE_CONNECTING)
        connecting_subscribed(shard, conn, reply);
    else if (reply->ticket.tag == 0)
        pushed(shard, conn, reply);
    else
        answered(shard, conn, reply);
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
        session_fail(shard, conn, CLOSE_OVERLOADED);
    replay_go_on(shard, conn);
}

bool session_has_left(const struct conn *conn)
{
    return !(conn->role & ROLE_SESSION);
}

bool session_owes_much(const struct shard *shard, const struct conn *conn)
{
    return conn_queued(conn) > (uint64_t)shard->settings->queue_bytes_max;
}

void session_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (session_has_left(conn))
        return;
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
    if (session_has_left(conn))
        return;
    if (err < 0)
        session_reply_error(shard, conn, ticket->tag, published_error(err));
    else
        session_reply_empty(shard, conn, ticket->tag, CENTRIFUGE_PUBLISH);
}

/* The same for what comes live: whoever has none is not looked at. */
static bool has_deltas_now(const struct shard *shard, const struct conn *conn,
                           uint32_t subscription)
{
    return conn->asked & ASKED_DELTA && hub_keeps_last(shard->hub, subscription);
}

/* What comes before its connect is answered waits for that. */
static void give(struct shard *shard, struct conn *conn, const struct hub_batch *batch,
                 enum telling telling, unsigned messages)
{
    struct encoding encoding = session_encoding(conn);
    encoding.telling = telling;
    struct frame frame = encoder_frame(shard, conn, batch, encoding);
    if (conn->role & ROLE_CONNECTING)
        connecting_hold(shard, conn, frame, messages);
    else
        conn_send(shard, conn, frame, SEND_LIVE, messages);
}

void session_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                     const struct hub_batch *batch)
{
    enum telling telling = TELL_WHOLE;
    if (has_deltas_now(shard, conn, subscription))
        telling = hub_took_last(shard->hub, subscription) ? TELL_CHANGES : TELL_STRINGS;
    give(shard, conn, batch, telling, batch->count);
    if (batch->messages[batch->count - 1]->last && conn->state == CONN_OPEN)
        channel_ended(shard, conn, subscription);
}

void session_events(struct shard *shard, struct conn *conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    bool strings = has_deltas_now(shard, conn, subscription);
    give(shard, conn, batch, strings ? TELL_STRINGS : TELL_WHOLE, 0);
}
