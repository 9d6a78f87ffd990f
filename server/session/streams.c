/* streams: the Centrifuge protocol as an answer of HTTP that does not end.
 *
 *   POST /connection/http_stream, the frame with connect   ─► {"id":1,"connect":{…}} LF {} LF …
 *   GET /connection/sse?cf_connect=…, or POST              ─► data: {"id":1,"connect":{…}} LF LF …
 *   the same behind uni_, with the request of connect alone ─► {"connect":{…}} LF …
 *
 * What the client has to say from then on comes by emulation.c; one that came by uni_ only listens.
 * Before the body is there it has no session. */
#include "http/body.h"
#include "session/asking.h"
#include "session/presence.h"
#include "session/session_internal.h"
#include "transport/transports.h"
#include "wire/sse.h"

/* As for /sse: nobody on the way may hold it back or keep it. */
#define STREAM_FIELDS "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n"
#define LINES_TYPE    "application/x-ndjson"

static bool has_begun(const struct conn *conn)
{
    return conn->role & ROLE_SESSION;
}

static struct span type_of(const struct conn *conn)
{
    return conn->transport == TRANSPORT_SESSION_EVENTS ? SPAN(SSE_CONTENT_TYPE) : SPAN(LINES_TYPE);
}

static void send_head(struct shard *shard, struct conn *conn)
{
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    http_head_send(shard, conn,
                   &(struct http_head){.status = 200,
                                       .framing = http_stream_framing(conn),
                                       .type = type_of(conn),
                                       .extra = SPAN(STREAM_FIELDS)});
}

/* Those of its head wait for its body. */
static struct asking *fields_take(struct conn *conn)
{
    struct asking *fields = conn->extra ? conn->extra->transport_state : NULL;
    if (fields)
        conn->extra->transport_state = NULL;
    return fields;
}

/* Returns 0, or why it is refused. */
static int fields_keep(struct shard *shard, struct conn *conn, const struct http_request *request)
{
    struct asking *fields;
    int refusal = session_fields_keep(&fields, shard, request);
    if (refusal != 0 || !fields)
        return refusal;
    struct conn_extra *extra = conn_extra(conn);
    if (!extra) {
        asking_end(shard, fields);
        return REFUSAL_OVERLOADED;
    }
    extra->transport_state = fields;
    extra->state_bytes = (uint32_t)shard->settings->head_bytes_max;
    return 0;
}

/* `text` is a frame, or the request of a client that only listens. */
static void begin(struct shard *shard, struct conn *conn, struct span text)
{
    bool one_way = conn->role & ROLE_ONE_WAY;
    if (one_way ? !session_connect_valid(text) : text.len == 0) {
        http_refuse(shard, conn, REFUSAL_BAD_CONNECT);
        return;
    }
    if (session_begin(shard, conn) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    session_of(shard, conn)->asking = fields_take(conn);
    send_head(shard, conn);
    if (conn->state == CONN_OPEN)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
    if (conn->state == CONN_OPEN)
        (one_way ? session_connect : session_commands)(shard, conn, text);
}

static void answer_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, begin);
}

/* There are no further requests: what follows the body is read and dropped. */
static void answer_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    if (http_body_ended(conn))
        return;
    http_body_input(shard, conn, bytes, len);
    if (conn->state != CONN_OPEN || !http_body_ended(conn))
        return;
    if (conn->extra)
        stash_free(&conn->extra->input);
    if (conn->link & LINK_PAUSED)
        conn_resume(shard, conn);
}

static void answer_timer(struct shard *shard, struct conn *conn)
{
    if (has_begun(conn))
        session_beat(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

static void answer_drain(struct shard *shard, struct conn *conn)
{
    if (has_begun(conn))
        session_fail(shard, conn, CLOSE_GOING_AWAY);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void answer_give_up(struct shard *shard, struct conn *conn)
{
    if (has_begun(conn))
        session_say_goodbye(shard, conn, CLOSE_INPUT_TOTAL);
    else
        http_give_up(shard, conn);
}

static void answer_closed(struct shard *shard, struct conn *conn)
{
    asking_end(shard, fields_take(conn));
    counter_sub(&shard->counters.streams_session, 1);
}

static void open_by(struct shard *shard, struct conn *conn, struct exchange *exchange,
                    enum transport_id transport, bool one_way)
{
    bool post = exchange->request->method == HTTP_POST;
    struct params *params = http_params_any(shard, conn, exchange);
    if (!params)
        return;
    if (one_way)
        conn->role |= ROLE_ONE_WAY;
    int refusal = fields_keep(shard, conn, exchange->request);
    if (refusal != 0) {
        http_refuse(shard, conn, (enum refusal)refusal);
        return;
    }
    conn_hand_over(conn, transport);
    counter_add(&shard->counters.streams_session, 1);
    if (!post)
        begin(shard, conn, params->connect);
    else if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max) &&
             !http_body_ended(conn))
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

/* Returns false when it was HEAD, and is answered. */
static bool wants_body(struct shard *shard, struct conn *conn, struct span type)
{
    if (conn->asked & ASKED_HEAD_ONLY)
        http_answer_no_body(shard, conn, type, SPAN(STREAM_FIELDS));
    return !(conn->asked & ASKED_HEAD_ONLY);
}

void session_open_lines(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    open_by(shard, conn, exchange, TRANSPORT_SESSION_LINES, false);
}

void session_open_lines_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    open_by(shard, conn, exchange, TRANSPORT_SESSION_LINES, true);
}

void session_open_events(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    if (wants_body(shard, conn, SPAN(SSE_CONTENT_TYPE)))
        open_by(shard, conn, exchange, TRANSPORT_SESSION_EVENTS, false);
}

void session_open_events_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    if (wants_body(shard, conn, SPAN(SSE_CONTENT_TYPE)))
        open_by(shard, conn, exchange, TRANSPORT_SESSION_EVENTS, true);
}

/* They differ in what stands around the text: session_text_send. */
#define ANSWER_FUNCTIONS                                                                           \
    .input = answer_input, .body = answer_body, .give_up = answer_give_up,                         \
    .drained = replay_drained, .timer = answer_timer, .signed_off = session_signed_off,            \
    .drain = answer_drain, .leave = session_end, .closed = answer_closed,                          \
    .subscribed = session_subscribed, .read = session_read, .published = session_published,        \
    .deliver = session_deliver, .events = session_events

const struct transport session_lines_transport = {.name = "session_lines", ANSWER_FUNCTIONS};
const struct transport session_events_transport = {.name = "session_events", ANSWER_FUNCTIONS};
