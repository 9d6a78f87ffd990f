#include "http/exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/log.h"
#include "conn/sign_on.h"
#include "http/limited.h"
#include "http/origins.h"

enum {
    ANSWERS_TOGETHER = 4096, /* bytes that wait when the next request is looked at, at most */
};

/* ---- a request with a complete head ---- */

static bool route_served(const struct settings *settings, enum audience audience, bool admin)
{
    switch (audience) {
    case FOR_CLIENTS:
        return !admin;
    case FOR_VISITORS:
        return !admin && settings->page_public;
    case FOR_OPERATOR:
        return admin;
    case FOR_PUBLISHERS:
        return settings->publish_on == PUBLISH_ON_ALL ||
               (admin && settings->publish_on == PUBLISH_ON_ADMIN);
    case FOR_TOKENS:
        return true;
    case FOR_METRICS:
        return admin || settings->metrics_public;
    case FOR_HEALTH:
        return admin || settings->health_public;
    case FOR_HOOKS:
        return settings->hooks.count > 0;
    }
    return false;
}

static bool route_is(const struct route *route, struct span path)
{
    struct span own = span_from(route->path);
    if (own.ptr[own.len - 1] != '*')
        return span_equal(path, own);
    return path.len >= own.len && memcmp(path.ptr, own.ptr, own.len - 1) == 0;
}

/* What is at a path, as far as the listener shows it. */
static const struct route *route_find(const struct shard *shard, const struct conn *conn,
                                      struct span path)
{
    bool admin = conn->listener == LISTENER_ADMIN;
    for (const struct route *route = shard->server->routes; route->path; route++)
        if (route_is(route, path))
            return route_served(shard->settings, route->audience, admin) ? route : NULL;
    return NULL;
}

static void answer_method(struct shard *shard, struct conn *conn, const struct route *route)
{
    char allow[128];
    int len = snprintf(allow, sizeof allow, "Allow: %s\r\n", route->allow);
    assert(len > 0 && len < (int)sizeof allow);
    http_error_fields(shard, conn, REFUSAL_METHOD_NOT_ALLOWED, span_of(allow, (size_t)len));
}

/* A browser asks before it sends what a form could not (Fetch, CORS preflight). */
static void answer_preflight(struct shard *shard, struct conn *conn, const struct route *route)
{
    char fields[512];
    int len = snprintf(fields, sizeof fields,
                       "Allow: %s\r\nAccess-Control-Allow-Methods: %s\r\n"
                       "Access-Control-Allow-Headers: Authorization, Cache-Control, "
                       "Content-Type, Last-Event-ID\r\n"
                       "Access-Control-Max-Age: 86400\r\n",
                       route->allow, route->allow);
    assert(len > 0 && len < (int)sizeof fields);
    http_answer(shard, conn, 204, (struct span){0}, (struct span){0}, span_of(fields, (size_t)len));
}

/* OPTIONS * asks about the server as a whole (RFC 9110 section 9.3.7). */
static void answer_options(struct shard *shard, struct conn *conn)
{
    http_answer(shard, conn, 204, (struct span){0}, (struct span){0},
                SPAN("Allow: GET, HEAD, POST, OPTIONS\r\n"));
}

static void note_request(struct conn *conn, const struct http_request *request)
{
    conn->asked = 0;
    if (request->fields.minor_version == 0)
        conn->asked |= ASKED_HTTP_10;
    conn->asked |= request->fields.keep_alive ? ASKED_KEEP_ALIVE : ASKED_LAST_REQUEST;
    if (request->method == HTTP_HEAD)
        conn->asked |= ASKED_HEAD_ONLY;
}

/* The operator's page may ask for what is its own: each of these paths wants a key, or has nothing
 * to hide. */
static bool is_refused(struct shard *shard, struct conn *conn, const struct route *route,
                       const struct http_request *request)
{
    if (origins_check(http_origins(shard, conn), request, &conn->origin) != ORIGIN_REFUSED)
        return false;
    return !route || route->audience != FOR_OPERATOR || !origin_is_own(request);
}

/* A client that is refused its place: what was read whole needs no lingering, and its place is free
 * again at once. */
static enum conn_how farewell(bool more_to_read)
{
    return more_to_read ? END_LINGER : END_SENT;
}

/* Returns false when the connection may not become a subscriber now, and has been told so. */
static bool admitted(struct shard *shard, struct conn *conn, const struct route *route,
                     bool more_to_read)
{
    struct conn *socket = conn_socket(shard, conn);
    if (!route->shed || socket->role & ROLE_ADMITTED || conn->asked & ASKED_HEAD_ONLY)
        return true;
    uint32_t retry_ms = admission_ask(&shard->admission, shard->now_ns);
    if (retry_ms == 0) {
        socket->role |= ROLE_ADMITTED;
        counter_add(&shard->counters.admitted, 1);
        return true;
    }
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    log_refusal(shard, conn, REFUSAL_ADMISSION);
    route->shed(shard, conn, REFUSAL_ADMISSION, retry_ms);
    conn_end(shard, conn, farewell(more_to_read), CLOSE_ADMISSION);
    return false;
}

/* Refuses a client that has found no room. */
static void turn_away(struct shard *shard, struct conn *conn, bool more_to_read)
{
    enum refusal refusal = shard->draining ? REFUSAL_DRAINING : REFUSAL_TABLE_FULL;
    enum close_reason reason = shard->draining ? CLOSE_GOING_AWAY : CLOSE_TABLE_FULL;
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    http_error(shard, conn, refusal);
    conn_end(shard, conn, farewell(more_to_read), reason);
}

static void serve(struct shard *shard, struct conn *conn, const struct route *route,
                  struct exchange *exchange)
{
    if (!shard->server->hold || !shard->server->hold(shard, conn, route, exchange))
        route->open(shard, conn, exchange);
}

static void dispatch(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    counter_add(&shard->counters.requests, 1);
    note_request(conn, request);
    const struct route *route = route_find(shard, conn, request->path);
    if (shard->server->log)
        http_logged_request(shard, conn, request);
    bool refused = is_refused(shard, conn, route, request);
    /* What is published is no subscription, whatever else its path is for. */
    const struct route *shedding = request->method == HTTP_POST ? NULL : route;
    if (shard->clients && http_limited_request(shard, conn, shedding, request))
        return;

    bool has_body = request->fields.chunked || request->fields.content_length > 0;
    bool is_tunnel = request->protocol.len > 0;
    bool more_to_read = has_body || exchange->rest_len > 0;

    if (conn_socket(shard, conn)->role & ROLE_UNWANTED)
        turn_away(shard, conn, more_to_read);
    else if (request->method != HTTP_POST && has_body)
        http_refuse(shard, conn, REFUSAL_BODY_UNEXPECTED);
    else if (request->method == HTTP_OPTIONS && span_equal(request->path, SPAN("*")))
        answer_options(shard, conn);
    else if (!route && request->method == HTTP_POST)
        http_refuse(shard, conn, REFUSAL_NOT_FOUND);
    else if (!route)
        http_error(shard, conn, REFUSAL_NOT_FOUND);
    else if (refused)
        http_refuse(shard, conn, REFUSAL_ORIGIN_REFUSED);
    else if (request->method == HTTP_OPTIONS)
        answer_preflight(shard, conn, route);
    else if (request->method == HTTP_METHOD_OTHER || (is_tunnel && !route->upgrades))
        http_refuse(shard, conn, REFUSAL_METHOD_UNKNOWN);
    else if (!(route->methods & 1U << request->method)) {
        if (request->method == HTTP_POST)
            conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
        answer_method(shard, conn, route);
        if (request->method == HTTP_POST)
            conn_end(shard, conn, END_LINGER, CLOSE_BAD_REQUEST);
    } else if (!shedding || admitted(shard, conn, route, more_to_read))
        serve(shard, conn, route, exchange);
}

static struct params *
params_or_error(struct shard *shard, struct conn *conn, struct span query,
                int (*read)(struct params *ret, const struct settings *settings, struct span query,
                            char *scratch, size_t scratch_size))
{
    static _Thread_local struct params params;
    if (read(&params, shard->settings, query, shard->scratch,
             (size_t)shard->settings->head_bytes_max) == 0)
        return &params;
    http_error(shard, conn, params.refusal);
    return NULL;
}

struct params *http_params(struct shard *shard, struct conn *conn, const struct exchange *exchange)
{
    return params_or_error(shard, conn, exchange->request->query, params_read);
}

struct params *http_params_any(struct shard *shard, struct conn *conn,
                               const struct exchange *exchange)
{
    return params_or_error(shard, conn, exchange->request->query, params_read_any);
}

/* ---- collecting heads ---- */

/* What is answered next is no request that could be read, and has nothing of the last one. */
static void forget_request(struct shard *shard, struct conn *conn)
{
    if (shard->server->log)
        log_request_gone(shard);
    conn->asked = 0;
    conn->origin = 0;
}

static void answer_none(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    forget_request(shard, conn);
    http_error(shard, conn, refusal);
}

/* What has come are the beginnings of requests, or requests that wait for the answers before. */
static void give_up(struct shard *shard, struct conn *conn)
{
    answer_none(shard, conn, REFUSAL_OVERLOADED);
}

void http_refuse_head(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    forget_request(shard, conn);
    http_refuse(shard, conn, refusal);
}

static bool between_requests(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->transport == TRANSPORT_HTTP;
}

static bool has_stash(const struct conn *conn)
{
    return conn->extra && conn->extra->input.len > 0;
}

/* The client speaks HTTP/2, and knows that we do (RFC 9113 section 3.3): what it has sent looks
 * like a request of a version that we do not have. */
static bool is_http2(const struct shard *shard, const struct conn *conn, struct span bytes)
{
    struct span preface = SPAN("PRI * HTTP/2.0\r\n\r\n");
    return shard->server->http2 && conn->asked == 0 && bytes.len >= preface.len &&
           span_equal(span_of(bytes.ptr, preface.len), preface);
}

static bool names_http(struct span line)
{
    const struct span name = SPAN("HTTP/");
    for (; line.len >= name.len; line = span_skip(line, 1))
        if (span_equal_nocase(span_of(line.ptr, name.len), name))
            return true;
    return false;
}

/* The first line of a connection to a port that speaks two versions of HTTP names neither. No
 * client of HTTP/1 sends such a line, and so none would understand a status line: to a client of
 * HTTP/2 with a broken preface it looks like a frame of four megabytes. RFC 9113 section 3.4 has
 * the connection end, without a GOAWAY as the peer does not speak HTTP/2. */
static bool is_no_http(const struct shard *shard, const struct conn *conn, struct span bytes)
{
    struct span head = bytes.ptr[0] == '\r' ? span_skip(bytes, 2) : bytes; /* an empty line */
    const char *end = memchr(head.ptr, '\r', head.len);
    assert(end && "a head that is whole has lines");
    return shard->server->http2 && conn->asked == 0 &&
           !names_http(span_of(head.ptr, (size_t)(end - head.ptr)));
}

/* Takes what is no request of HTTP/1, and returns how much of it is used up. */
static size_t take_other(struct shard *shard, struct conn *conn, struct span bytes, int error)
{
    if (error == HTTP_ERROR_VERSION_MAJOR && is_http2(shard, conn, bytes)) {
        conn_hand_over(conn, TRANSPORT_HTTP2);
        return 0;
    }
    if (error == HTTP_ERROR_VERSION && is_no_http(shard, conn, bytes)) {
        log_refusal(shard, conn, refusal_http(error));
        conn_end(shard, conn, END_CLOSE, CLOSE_BAD_REQUEST);
    } else {
        http_refuse_head(shard, conn, refusal_http(error));
    }
    return bytes.len;
}

/* After an answer that was complete at once; `more` has come behind its request. A client that
 * asked for the end sends nothing after that request (RFC 9112 section 9.6), which was read
 * whole. */
static void answered(struct shard *shard, struct conn *conn, bool more)
{
    if (!between_requests(conn))
        return;
    if (conn->asked & ASKED_KEEP_ALIVE && (more || !(conn->link & LINK_INPUT_ENDED))) {
        conn_timer(shard, conn, shard->settings->idle_timeout_ms);
        return;
    }
    conn_end(shard, conn, conn->asked & ASKED_LAST_REQUEST ? END_SENT : END_LINGER, CLOSE_DONE);
}

/* Back-pressure from answers to requests: the next one is looked at when those before it have left,
 * but for what fits into a send together. So a client that does not read is owed one answer more
 * than that, however many requests it sends. */
static bool may_take(const struct conn *conn)
{
    return !conn_blocked(conn) && conn_queued(conn) <= ANSWERS_TOGETHER;
}

/* Takes requests from the front of the bytes while there are whole ones and their answers leave,
 * and hands the rest on to the transport that took the connection. Returns how many bytes are used
 * up. */
static size_t take_requests(struct shard *shard, struct conn *conn, char *bytes, size_t len,
                            size_t scanned)
{
    size_t used = 0;
    while (between_requests(conn) && used < len && may_take(conn)) {
        struct http_request request;
        int head = http_request_parse(&request, bytes + used, len - used, scanned,
                                      (size_t)shard->settings->head_bytes_max);
        scanned = 0;
        if (head == 0)
            break;
        if (head < 0)
            return used + take_other(shard, conn, span_of(bytes + used, len - used), head);
        struct exchange exchange = {&request, bytes + used + head, len - used - (size_t)head};
        dispatch(shard, conn, &exchange);
        used = len - exchange.rest_len;
        answered(shard, conn, used < len);
    }
    return used;
}

void http_serve(struct shard *shard, struct conn *stream, const struct http_request *request)
{
    struct exchange exchange = {request, NULL, 0};
    dispatch(shard, stream, &exchange);
    answered(shard, stream, false);
}

/* For what has come and cannot be kept. Behind a request there is no place for a second answer. */
static void out_of_memory(struct shard *shard, struct conn *conn)
{
    if (between_requests(conn))
        http_refuse_head(shard, conn, REFUSAL_OVERLOADED);
    else
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
}

void http_stash(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    size_t max = (size_t)shard->settings->head_bytes_max;
    struct conn_extra *extra = conn_extra(conn);
    int err = extra ? stash_append(&extra->input, bytes, len, max + 2 * RECEIVE_BYTES) : -ENOMEM;
    assert(err != -ENOBUFS);
    /* A head that grows past the bound is refused by the codec; what waits behind a request is read
     * on when that is answered. */
    if (err < 0)
        out_of_memory(shard, conn);
    else if (extra->input.len > max && !between_requests(conn))
        conn_pause(conn);
}

/* What is left of the stash goes back to where it waits. Returns false when memory is out. */
static bool stash_keep(struct conn *conn, struct stash *stash, size_t used)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra)
        return false;
    assert(extra->input.len == 0);
    stash_consume(stash, used);
    extra->input = *stash;
    return true;
}

/* The stash begins with requests that wait for the answers before them, or else with half a head:
 * the rest of that has its time from now, if this is its first piece. */
static void wait_for_rest(struct shard *shard, struct conn *conn, bool first)
{
    struct conn_extra *extra = conn->extra;
    if (!may_take(conn)) {
        extra->scanned = 0;
        conn_pause(conn);
        return;
    }
    extra->scanned = extra->input.len;
    if (conn->link & LINK_INPUT_ENDED)
        conn_end(shard, conn, END_LINGER, CLOSE_DONE);
    else if (first)
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
}

static void input_stashed(struct shard *shard, struct conn *conn)
{
    struct stash stash = conn->extra->input;
    uint32_t scanned = conn->extra->scanned;
    conn->extra->input = (struct stash){0};
    conn->extra->scanned = 0;

    size_t used = take_requests(shard, conn, stash.bytes, stash.len, scanned);
    if (between_requests(conn) && used < stash.len) {
        if (stash_keep(conn, &stash, used)) {
            wait_for_rest(shard, conn, used > 0 || scanned == 0);
            return;
        }
        out_of_memory(shard, conn);
    } else if (conn->state == CONN_OPEN && used < stash.len) {
        conn_inflate_room(shard, stash.len - used);
        conn_transport(shard, conn)->input(shard, conn, stash.bytes + used, stash.len - used);
    }
    stash_free(&stash);
    conn_extra_trim(shard, conn);
}

static void http_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    if (has_stash(conn)) {
        http_stash(shard, conn, bytes, len);
        if (conn->state == CONN_OPEN && may_take(conn))
            input_stashed(shard, conn);
        return;
    }
    size_t used = take_requests(shard, conn, bytes, len, 0);
    if (conn->state != CONN_OPEN || used == len)
        return;
    if (!between_requests(conn)) {
        conn_transport(shard, conn)->input(shard, conn, bytes + used, len - used);
        return;
    }
    http_stash(shard, conn, bytes + used, len - used);
    if (conn->state == CONN_OPEN)
        wait_for_rest(shard, conn, true);
}

/* Goes on with what waits in the stash, and with reading. */
static void go_on(struct shard *shard, struct conn *conn)
{
    conn->link &= ~(uint32_t)LINK_PAUSED;
    if (has_stash(conn) && may_take(conn))
        input_stashed(shard, conn);
    else if (has_stash(conn))
        conn_pause(conn);
    budgets_charge_input(shard, conn);
    conn_watch_read(shard, conn);
}

void http_next(struct shard *shard, struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    conn_sign_off(shard, conn);
    conn_hand_over(conn, TRANSPORT_HTTP);
    answered(shard, conn, has_stash(conn));
    if (conn->state != CONN_OPEN)
        return;
    if (has_stash(conn) || conn->link & LINK_PAUSED)
        go_on(shard, conn);
    else {
        conn_extra_trim(shard, conn);
        budgets_charge_input(shard, conn);
    }
}

void http_resumed(struct shard *shard, struct conn *conn)
{
    answered(shard, conn, has_stash(conn));
    if (conn->state != CONN_OPEN)
        return;
    if (between_requests(conn) && (has_stash(conn) || conn->link & LINK_PAUSED)) {
        go_on(shard, conn);
    } else if (has_stash(conn) && !between_requests(conn)) {
        struct stash stash = conn->extra->input;
        conn->extra->input = (struct stash){0};
        conn->link &= ~(uint32_t)LINK_PAUSED;
        conn_transport(shard, conn)->input(shard, conn, stash.bytes, stash.len);
        stash_free(&stash);
        if (conn->state == CONN_OPEN)
            conn_watch_read(shard, conn);
    }
    if (conn->state == CONN_OPEN)
        budgets_charge_input(shard, conn);
}

/* Behind the last byte of a client there may be requests that it is still owed an answer to. */
static bool http_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return has_stash(conn) && !may_take(conn);
}

void http_drain(struct shard *shard, struct conn *conn)
{
    (void)shard;
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
}

/* ---- deadlines ---- */

static void http_timer(struct shard *shard, struct conn *conn)
{
    bool half = has_stash(conn);
    bool first = !(conn->asked & ASKED_KEEP_ALIVE);
    if (conn->role & ROLE_UNWANTED)
        turn_away(shard, conn, true);
    else if (half)
        http_refuse_head(shard, conn, REFUSAL_HEAD_TIMEOUT);
    else if (first)
        conn_end(shard, conn, END_CLOSE, CLOSE_HEAD_TIMEOUT);
    else
        conn_end(shard, conn, END_LINGER, CLOSE_IDLE);
}

/* Half a request will not be served: its client is told to come back. */
static void http_drain_idle(struct shard *shard, struct conn *conn)
{
    if (has_stash(conn))
        http_refuse_head(shard, conn, REFUSAL_DRAINING);
    else
        conn_end(shard, conn, END_LINGER, CLOSE_GOING_AWAY);
}

const struct transport http_transport = {
    .name = "http",
    .input = http_input,
    .refuse = answer_none,
    .give_up = give_up,
    .input_ended = http_input_ended,
    .drained = go_on,
    .timer = http_timer,
    .drain = http_drain_idle,
};
