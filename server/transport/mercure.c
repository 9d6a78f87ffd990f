#include "transport/mercure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "auth/permit.h"
#include "conn/sign_on.h"
#include "core/message.h"
#include "transport/catch_up.h"
#include "transport/gathering.h"
#include "transport/mercure_internal.h"
#include "transport/standing.h"
#include "transport/stream.h"
#include "wire/out.h"
#include "wire/position.h"
#include "wire/utf8.h"

enum {
    FIELDS_MAX = MERCURE_TEXT_MAX + 160,
    RETRY_MAX = 32, /* "retry: 4294967295" and two line ends */
};

static void mercure_stream_free(struct mercure_stream *stream)
{
    if (!stream)
        return;
    free(stream->asked);
    free(stream->allowed);
    free(stream->payload);
    free(stream);
}

/* ---- events ---- */

static struct span payload_of(const struct message *message)
{
    return span_of(message_payload(message), message->payload_len);
}

static struct span id_of(const struct message *message, char buf[POSITION_TOKEN_MAX(1)])
{
    const struct position position = {message->epoch, message->offset};
    return span_of(buf, position_write(buf, &position, 1));
}

/* Writes those of the messages that are for this stream. */
static size_t write_updates(const struct mercure_stream *stream, struct message *const *messages,
                            unsigned count, char *buf, unsigned *ret_given)
{
    size_t size = 0;
    *ret_given = 0;
    for (unsigned i = 0; i < count; i++) {
        struct mercure_update update;
        char id[POSITION_TOKEN_MAX(1)];
        mercure_update_read(&update, payload_of(messages[i]));
        if (!mercure_update_is_for(&update, stream->asked, stream->allowed))
            continue;
        struct sse_event event = mercure_update_event(&update, id_of(messages[i], id));
        size += sse_event_write(buf + size, &event);
        *ret_given += 1;
    }
    return size;
}

/* Room for all of them: whom they are for is asked once, when they are written. */
static size_t room_of(struct message *const *messages, unsigned count)
{
    size_t room = HTTP_CHUNK_HEAD_MAX + sizeof HTTP_CHUNK_TAIL;
    for (unsigned i = 0; i < count; i++) {
        struct mercure_update update;
        char id[POSITION_TOKEN_MAX(1)];
        mercure_update_read(&update, payload_of(messages[i]));
        struct sse_event event = mercure_update_event(&update, id_of(messages[i], id));
        room += sse_event_size(&event);
    }
    return room;
}

static void write_messages(struct shard *shard, struct conn *conn, struct message *const *messages,
                           unsigned count, const struct standing *standing, enum send_kind kind)
{
    (void)standing;
    if (conn->state != CONN_OPEN)
        return;
    char *area = blocks_reserve(&shard->blocks, room_of(messages, count));
    char head[HTTP_CHUNK_HEAD_MAX];
    unsigned given;
    if (!area) {
        conn_send(shard, conn, (struct frame){0}, kind, 0);
        return;
    }
    char *events = area + HTTP_CHUNK_HEAD_MAX;
    size_t size = write_updates(mercure_stream_of(conn), messages, count, events, &given);
    if (given == 0)
        return;
    size_t at = http_is_chunked(conn) ? http_chunk_head_write(head, size) : 0;
    memmove(area + at, events, size);
    memcpy(area, head, at);
    at += size;
    if (http_is_chunked(conn)) {
        memcpy(area + at, HTTP_CHUNK_TAIL, sizeof HTTP_CHUNK_TAIL - 1);
        at += sizeof HTTP_CHUNK_TAIL - 1;
    }
    conn_send(shard, conn, blocks_commit(&shard->blocks, at), kind, given);
}

/* ---- the beginning ---- */

static void send_head(struct shard *shard, struct conn *conn)
{
    struct mercure_stream *stream = mercure_stream_of(conn);
    char fields[FIELDS_MAX];
    struct out out = out_begin(fields, sizeof fields);
    out_text(&out, "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n");
    if (stream->resumes) {
        out_text(&out, "Last-Event-ID: ");
        out_span(&out, stream->is_whole ? SPAN("earliest") : span_of(stream->id, stream->id_len));
        out_text(&out, "\r\n");
    }
    assert(!out.overflow);
    stream->has_begun = true;
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200,
                                       .framing = http_stream_framing(conn),
                                       .type = SPAN(SSE_CONTENT_TYPE),
                                       .extra = {fields, (size_t)(out.at - out.start)}});
}

static void write_standing(struct shard *shard, struct conn *conn, const struct position *positions,
                           unsigned count)
{
    (void)positions, (void)count;
    if (shard->settings->mercure_subscriptions &&
        mercure_announce(shard, mercure_stream_of(conn)) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    send_head(shard, conn);
    if (conn->state != CONN_OPEN)
        return;
    const struct sse_event event = {.has_retry = true,
                                    .retry_ms = admission_retry_ms(&shard->admission)};
    size_t size = sse_event_size(&event);
    char bytes[HTTP_CHUNK_HEAD_MAX + RETRY_MAX + sizeof HTTP_CHUNK_TAIL];
    size_t at = http_is_chunked(conn) ? http_chunk_head_write(bytes, size) : 0;
    assert(size <= RETRY_MAX);
    at += sse_event_write(bytes + at, &event);
    if (http_is_chunked(conn)) {
        memcpy(bytes + at, HTTP_CHUNK_TAIL, sizeof HTTP_CHUNK_TAIL - 1);
        at += sizeof HTTP_CHUNK_TAIL - 1;
    }
    conn_send_bytes(shard, conn, span_of(bytes, at));
}

static const struct stream_writer writer = {write_standing, write_messages};

static void subscribe(struct shard *shard, struct conn *conn, struct hub_since since)
{
    struct params params = {.channel_count = 1, .channels = {SPAN(MERCURE_CHANNEL)}};
    params.since[0] = since;
    if (standing_subscribe(shard, conn, &params, GATHERING_UNBOUNDED) < 0)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void begin_whole(struct shard *shard, struct conn *conn)
{
    mercure_stream_of(conn)->is_whole = true;
    subscribe(shard, conn, (struct hub_since){.from = HUB_FROM_START});
}

/* Goes through the history for the event that the client has last. */
static void search(struct shard *shard, struct conn *conn, struct hub_since since)
{
    struct ticket ticket = conn_ticket(shard, conn, 0);
    struct span name = SPAN(MERCURE_CHANNEL);
    mercure_stream_of(conn)->has_searched = true;
    if (hub_read(shard->hub, &ticket, name.ptr, name.len, &since) < 0)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

/* ---- what the hub answers ---- */

static void mercure_end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    if (!mercure_stream_of(conn)->has_begun) {
        http_refuse(shard, conn,
                    reason == CLOSE_GOING_AWAY ? REFUSAL_DRAINING : REFUSAL_OVERLOADED);
        return;
    }
    if (http_is_chunked(conn))
        conn_send_bytes(shard, conn, SPAN(HTTP_CHUNK_LAST));
    conn_end(shard, conn, END_LINGER, reason);
}

static void mercure_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    struct mercure_stream *stream = mercure_stream_of(conn);
    struct span id = {stream->id, stream->id_len};
    struct hub_since next = {
        .from = HUB_FROM_POSITION, .epoch = reply->epoch, .offset = reply->offset};
    if (reply->err < 0) {
        mercure_end(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    for (unsigned i = 0; i < reply->count; i++) {
        struct mercure_update update;
        mercure_update_read(&update, payload_of(reply->messages[i]));
        if (!span_equal(update.id, id))
            continue;
        next.offset = reply->messages[i]->offset;
        subscribe(shard, conn, next);
        return;
    }
    if (reply->more)
        search(shard, conn, next);
    else
        begin_whole(shard, conn);
}

/* A position that cannot be honoured may be an id that looks like one. Else the client is told by
 * `earliest`, and by all that there is. */
static void mercure_subscribed(struct shard *shard, struct conn *conn,
                               const struct hub_reply *reply)
{
    struct mercure_stream *stream = mercure_stream_of(conn);
    if (reply->err < 0) {
        mercure_end(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (!stream->has_begun && reply->was_recovering && !reply->recovered && !reply->resumed) {
        hub_unsubscribe_all(shard->hub, &conn->subscriptions);
        if (stream->has_searched)
            begin_whole(shard, conn);
        else
            search(shard, conn, (struct hub_since){.from = HUB_FROM_START});
        return;
    }
    if (stream_subscribed(shard, conn, reply, &writer) < 0)
        mercure_end(shard, conn, CLOSE_OVERLOADED);
}

static void mercure_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                            const struct hub_batch *batch)
{
    (void)subscription;
    write_messages(shard, conn, batch->messages, batch->count, NULL, SEND_LIVE);
}

/* ---- the rest of its life ---- */

static void mercure_timer(struct shard *shard, struct conn *conn)
{
    if (conn_heartbeat_skip(shard, conn) > 0)
        return;
    if (mercure_stream_of(conn)->has_begun) {
        counter_add(&shard->counters.pings, 1);
        conn_send_bytes(shard, conn,
                        http_is_chunked(conn) ? SPAN("3\r\n" SSE_KEEP_ALIVE "\r\n")
                                              : SPAN(SSE_KEEP_ALIVE));
    }
    if (conn->state == CONN_OPEN)
        conn_heartbeat(shard, conn);
}

static void mercure_drain(struct shard *shard, struct conn *conn)
{
    mercure_end(shard, conn, CLOSE_GOING_AWAY);
}

static void mercure_give_up(struct shard *shard, struct conn *conn)
{
    if (!mercure_stream_of(conn)->has_begun)
        http_give_up(shard, conn);
    else if (http_is_chunked(conn))
        conn_send_bytes(shard, conn, SPAN(HTTP_CHUNK_LAST));
}

static void mercure_closed(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.streams_sse, 1);
    catch_up_end(conn);
    mercure_announce_end(shard, mercure_stream_of(conn));
    mercure_stream_free(mercure_stream_of(conn));
    conn->extra->transport_state = NULL;
}

static void mercure_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    (void)shard, (void)conn, (void)bytes, (void)len;
}

/* ---- the request ---- */

struct asking {
    struct mercure_selectors topics;
    struct span last_id; /* without a ptr: none */
};

static enum refusal query_read(struct asking *ret, struct shard *shard,
                               const struct http_request *request)
{
    struct http_query walk;
    struct span name, value;
    int found;
    ret->topics.count = ret->topics.bytes = 0;
    ret->last_id = (struct span){0};
    http_query_init(&walk, request->query, shard->scratch, (size_t)shard->settings->head_bytes_max);
    while ((found = http_query_next(&walk, &name, &value)) == 1) {
        if (span_equal(name, SPAN("topic")) &&
            (!utf8_valid(value) || !mercure_selectors_add(&ret->topics, value)))
            return REFUSAL_BAD_TOPIC;
        if (span_equal(name, SPAN("lastEventID")) || span_equal(name, SPAN("last_event_id")) ||
            span_equal(name, SPAN("Last-Event-ID")))
            ret->last_id = value;
    }
    const struct http_field *field = http_field_find(&request->fields, SPAN("Last-Event-ID"));
    if (field && field->value.len > 0)
        ret->last_id = field->value;
    if (found < 0)
        return REFUSAL_BAD_QUERY;
    return ret->topics.count > 0 ? REFUSAL_COUNT : REFUSAL_NO_TOPIC;
}

/* `claim`: what a token says of Mercure. */
static struct mercure_stream *stream_make(const struct shard *shard, const struct asking *asking,
                                          const struct mercure_selectors *allowed,
                                          struct span claim)
{
    struct mercure_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->asked = mercure_selectors_copy(&asking->topics);
    stream->allowed = mercure_selectors_copy(allowed);
    stream->resumes = asking->last_id.ptr != NULL;
    if (asking->last_id.ptr && asking->last_id.len <= MERCURE_TEXT_MAX) {
        stream->id_len = (uint8_t)asking->last_id.len;
        memcpy(stream->id, asking->last_id.ptr, asking->last_id.len);
    }
    bool named = !shard->settings->mercure_subscriptions || mercure_stream_name(stream, claim);
    if (stream->asked && stream->allowed && named)
        return stream;
    mercure_stream_free(stream);
    return NULL;
}

/* Asks the hub for where the stream is to begin. */
static void begin(struct shard *shard, struct conn *conn)
{
    struct mercure_stream *stream = mercure_stream_of(conn);
    struct span id = {stream->id, stream->id_len};
    struct position position;
    if (!stream->resumes) {
        subscribe(shard, conn, (struct hub_since){.from = HUB_FROM_NOW});
    } else if (id.len == 0 || span_equal(id, SPAN("earliest"))) {
        begin_whole(shard, conn);
    } else if (position_parse(&position, 1, id) == 1) {
        subscribe(shard, conn,
                  (struct hub_since){.from = HUB_FROM_POSITION,
                                     .epoch = position.epoch,
                                     .offset = position.offset});
    } else {
        search(shard, conn, (struct hub_since){.from = HUB_FROM_START});
    }
}

void mercure_subscribe_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct mercure_caller caller;
    struct jwt_claims claims;
    struct asking asking;
    enum refusal refusal;
    char area[JWT_AREA_BYTES];
    if (!mercure_caller_read(&caller, &claims, area, shard, request, SPAN("subscribe"), &refusal)) {
        permit_refuse(shard, conn, request, refusal);
        return;
    }
    refusal = query_read(&asking, shard, request);
    if (refusal != REFUSAL_COUNT) {
        http_error(shard, conn, refusal);
        return;
    }
    if (conn->asked & ASKED_HEAD_ONLY) {
        http_answer_no_body(shard, conn, SPAN(SSE_CONTENT_TYPE),
                            SPAN("Cache-Control: no-store\r\n"));
        return;
    }
    struct span claim = caller.signed_on ? claims.mercure : (struct span){0};
    struct conn_extra *extra = conn_extra(conn);
    struct mercure_stream *stream =
        extra ? stream_make(shard, &asking, &caller.allowed, claim) : NULL;
    if (!stream) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    extra->transport_state = stream;
    extra->state_bytes =
        (uint32_t)(sizeof *stream + 2 * offsetof(struct mercure_selectors, text) +
                   stream->asked->bytes + stream->allowed->bytes + stream->payload_len);
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    if (caller.signed_on) {
        const struct signing signing = auth_signing(shard, &claims);
        conn_sign_on(shard, conn, &signing, shard_unix_s(shard));
    }
    conn_hand_over(conn, TRANSPORT_MERCURE);
    counter_add(&shard->counters.streams_sse, 1);
    conn_heartbeat(shard, conn);
    begin(shard, conn);
}

const struct transport mercure_transport = {
    .name = "mercure",
    .input = mercure_input,
    .give_up = mercure_give_up,
    .drained = catch_up_drained,
    .signed_off = mercure_end,
    .timer = mercure_timer,
    .drain = mercure_drain,
    .closed = mercure_closed,
    .subscribed = mercure_subscribed,
    .read = mercure_read,
    .deliver = mercure_deliver,
};
