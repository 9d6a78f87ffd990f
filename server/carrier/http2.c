#include "carrier/http2_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conn/check.h"

enum {
    GOAWAY_BYTES = 17,
    LINE_BYTES = 4096, /* of the table of fields that the client may use */
};

struct conn *http2_stream(struct http2 *http2, int32_t id)
{
    uintptr_t mark = (uintptr_t)nghttp2_session_get_stream_user_data(http2->session, id);
    return mark > 0 ? conn_at(http2->shard, (uint32_t)(mark - 1)) : NULL;
}

/* ---- bounds and errors ---- */

void http2_submitted(struct http2 *http2, int err)
{
    if (!nghttp2_is_fatal(err))
        return;
    http2->has_lost = true;
    carrier_due(http2->shard, &http2->carrier);
}

int http2_flooded(struct http2 *http2, enum http2_flood flood)
{
    if (!http2->flooded)
        counter_add(&http2->shard->counters.http2_floods[flood], 1);
    http2->flooded = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int count_reset(struct http2 *http2)
{
    int64_t per_s = http2->shard->settings->http2_resets_per_s;
    if (per_s == 0 || http2_bucket_take(&http2->resets, per_s, per_s * HTTP2_RESETS_BURST_S,
                                        http2->shard->now_ns))
        return 0;
    return http2_flooded(http2, HTTP2_FLOOD_RESETS);
}

/* Returns false when they are too many. */
static bool count_idle_frames(struct http2 *http2, uint32_t count)
{
    for (; count > 0; count--)
        if (!http2_bucket_take(&http2->idle_frames, HTTP2_IDLE_FRAMES_PER_S,
                               HTTP2_IDLE_FRAMES_BURST, http2->shard->now_ns)) {
            http2_flooded(http2, HTTP2_FLOOD_IDLE_FRAMES);
            return false;
        }
    return true;
}

static void count_error(struct http2 *http2, uint32_t code)
{
    uint32_t known = code < HTTP2_CODES ? code : HTTP2_CODES - 1;
    if (code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL)
        counter_add(&http2->shard->counters.http2_errors[known], 1);
}

/* ---- what the library tells ---- */

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct http2 *http2 = user_data;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    int result = 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        http2_request(http2, frame);
        if (ends && frame->headers.cat != NGHTTP2_HCAT_REQUEST)
            http2_body_ended(http2, frame->hd.stream_id);
        break;
    case NGHTTP2_DATA:
        if (ends)
            http2_body_ended(http2, frame->hd.stream_id);
        break;
    case NGHTTP2_RST_STREAM:
        result = count_reset(http2);
        break;
    default:
        break;
    }
    return http2->is_dead ? NGHTTP2_ERR_CALLBACK_FAILURE : result;
}

/* A field with characters that it may not have makes the request malformed (RFC 9113 section
 * 8.2.1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user_data)
{
    (void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len;
    (void)flags, (void)user_data;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Streams that a client makes us reset cost what those cost that it resets itself. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct http2 *http2 = user_data;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        count_error(http2, frame->goaway.error_code);
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
            http2->end_reason = CLOSE_HTTP2_ERROR;
    }
    if (frame->hd.type != NGHTTP2_RST_STREAM)
        return 0;
    uint32_t code = frame->rst_stream.error_code;
    count_error(http2, code);
    return code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL ? 0 : count_reset(http2);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    (void)session;
    struct http2 *http2 = user_data;
    struct conn *stream = http2_stream(http2, id);
    if (!stream)
        return 0;
    bool usual = code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL;
    stream_forgotten(http2->shard, stream);
    conn_end(http2->shard, stream, END_CLOSE, usual ? CLOSE_DONE : CLOSE_PEER_RESET);
    return 0;
}

/* ---- the library ---- */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, http2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, http2_on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2_on_data);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_send_data);
}

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    /* Clients that know RFC 9218 say so; the others are held to RFC 7540, as they hold us. */
    nghttp2_option_set_server_fallback_rfc7540_priorities(option, 1);
    /* Answers are few and different: no table of ours is worth its memory. */
    nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
    nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKS_MAX);
    nghttp2_option_set_max_continuations(option, HTTP2_CONTINUATIONS_MAX);
    /* Its own bound on resets asks the machine's clock, and counts the client's alone: ours is in
     * count_reset. */
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
}

struct http2_library *http2_library_create(void)
{
    struct http2_library *library = calloc(1, sizeof *library);
    if (!library || nghttp2_session_callbacks_new(&library->callbacks) != 0 ||
        nghttp2_option_new(&library->option) != 0) {
        http2_library_free(library);
        return NULL;
    }
    set_callbacks(library->callbacks);
    set_options(library->option);
    return library;
}

void http2_library_free(struct http2_library *library)
{
    if (!library)
        return;
    nghttp2_session_callbacks_del(library->callbacks);
    nghttp2_option_del(library->option);
    free(library);
}

/* ---- a connection ---- */

static void http2_free(struct http2 *http2)
{
    nghttp2_session_del(http2->session);
    free(http2->head);
    http2_push_drop(http2);
    free(http2);
}

/* Ends the connection with what the library has written so far. */
static void end(struct http2 *http2, enum close_reason reason)
{
    conn_end(http2->shard, http2_socket(http2), END_LINGER, reason);
}

/* The library can write nothing any more, or not in time. */
static void end_in_error(struct http2 *http2, uint32_t code, enum close_reason reason)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(http2->session);
    const unsigned char goaway[GOAWAY_BYTES] = {
        0,
        0,
        8,
        NGHTTP2_GOAWAY,
        0,
        0,
        0,
        0,
        0,
        (uint8_t)(last >> 24),
        (uint8_t)(last >> 16),
        (uint8_t)(last >> 8),
        (uint8_t)last,
        (uint8_t)(code >> 24),
        (uint8_t)(code >> 16),
        (uint8_t)(code >> 8),
        (uint8_t)code,
    };
    count_error(http2, code);
    struct conn *socket = http2_socket(http2);
    conn_send_bytes(http2->shard, socket, span_of((const char *)goaway, sizeof goaway));
    if (socket->state == CONN_OPEN)
        end(http2, reason);
}

static void end_flood(struct http2 *http2)
{
    end_in_error(http2, NGHTTP2_ENHANCE_YOUR_CALM, CLOSE_HTTP2_FLOOD);
}

static void end_fatal(struct http2 *http2, ssize_t err)
{
    if (err == NGHTTP2_ERR_FLOODED)
        http2_flooded(http2, HTTP2_FLOOD_ACKS);
    if (err == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        http2_flooded(http2, HTTP2_FLOOD_CONTINUATIONS);
    if (http2->flooded)
        end_flood(http2);
    else if (err == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        end_in_error(http2, NGHTTP2_PROTOCOL_ERROR, CLOSE_HTTP2_ERROR);
    else
        end_in_error(http2, NGHTTP2_INTERNAL_ERROR, CLOSE_OVERLOADED);
}

/* The connection takes no further streams, and ends when those that it has are over. */
static void go_away(struct http2 *http2, enum close_reason reason)
{
    if (http2->drains)
        return;
    http2->drains = true;
    http2->end_reason = (uint8_t)reason;
    carrier_due(http2->shard, &http2->carrier);
}

/* GOAWAY comes behind the last answer: Python's h2, for one, reads nothing behind it. */
static void say_goodbye(struct http2 *http2)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(http2->session);
    http2->says_goodbye = true;
    http2_submitted(http2, nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE, last,
                                                 NGHTTP2_NO_ERROR, NULL, 0));
    carrier_due(http2->shard, &http2->carrier);
}

/* Charges what the library has taken. Returns false when that has closed the connection. */
static bool account(struct http2 *http2)
{
    struct shard *shard = http2->shard;
    struct conn *socket = http2_socket(http2);
    uint32_t generation = socket->generation;
    uint64_t most =
        HTTP2_SESSION_BYTES + (uint64_t)shard->settings->http2_streams_max * HTTP2_STREAM_BYTES;
    if (http2->bytes > most) {
        http2_flooded(http2, HTTP2_FLOOD_MEMORY);
        end_flood(http2);
        return false;
    }
    budget_set(&shard->budgets[BUDGET_HTTP2], &http2->charge, http2->carrier.slot, http2->bytes,
               shard->now_ns);
    budgets_relieve(shard, BUDGET_HTTP2);
    return socket->generation == generation && socket->state == CONN_OPEN;
}

static void http2_turn(struct shard *shard, struct carrier *carrier)
{
    struct http2 *http2 = (struct http2 *)carrier;
    struct conn *socket = http2_socket(http2);
    if (socket->state != CONN_OPEN)
        return;
    http2_offer(http2);
    ssize_t err = http2_pump(http2);
    if (http2->is_dead) {
        http2_free(http2);
        return;
    }
    if (err < 0 || http2->has_lost) {
        end_fatal(http2, err < 0 ? err : NGHTTP2_ERR_NOMEM);
        return;
    }
    http2->is_busy = true;
    http2_settle(http2);
    http2_push_go_on(http2);
    http2->is_busy = false;
    if (http2->is_dead) {
        http2_free(http2);
        return;
    }
    if (!account(http2))
        return;
    if (!nghttp2_session_want_read(http2->session) && !nghttp2_session_want_write(http2->session))
        end(http2, (enum close_reason)http2->end_reason);
    else if (http2->drains && carrier->count == 0 && !http2->says_goodbye)
        say_goodbye(http2);
    else if (carrier->count == 0 && http2->has_served && !http2->idles) {
        http2->idles = true;
        conn_timer(shard, socket, shard->settings->idle_timeout_ms);
    }
}

/* RFC 9113 section 7. What a client did not ask for and we cannot go on with is its loss of
 * interest as far as it can tell. */
static uint32_t code_of(const struct conn *stream, enum close_reason reason)
{
    if (stream->link & LINK_END_SENT)
        return NGHTTP2_NO_ERROR;
    return reason == CLOSE_OVERLOADED ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL;
}

/* RFC 9113 section 8.1: an answer that was complete before its request is followed by RST_STREAM
 * with NO_ERROR. */
static void http2_reset(struct shard *shard, struct conn *stream, enum close_reason reason)
{
    struct http2 *http2 = (struct http2 *)stream_carrier(shard, stream);
    int32_t id = stream_link(shard, stream)->id;
    const uint32_t both = LINK_END_SENT | LINK_INPUT_ENDED;
    nghttp2_session_set_stream_user_data(http2->session, id, NULL);
    if ((stream->link & both) != both)
        http2_submitted(http2, nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id,
                                                         code_of(stream, reason)));
    carrier_due(shard, &http2->carrier);
}

static const struct carrier_ops ops = {
    .head = http2_head,
    .turn = http2_turn,
    .reset = http2_reset,
    .read_on = http2_read_on,
};

static int make_session(struct http2 *http2)
{
    const struct http2_library *library = http2->shard->server->http2;
    const struct settings *settings = http2->shard->settings;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)settings->http2_streams_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)settings->head_bytes_max},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_mem memory = http2_memory(http2);
    http2->begins = true;
    int err = nghttp2_session_server_new3(&http2->session, library->callbacks, http2,
                                          library->option, &memory);
    http2->begins = false;
    if (err == 0)
        err = nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, entries,
                                      sizeof entries / sizeof entries[0]);
    return err;
}

static struct http2 *begin(struct shard *shard, struct conn *socket)
{
    struct conn_extra *extra = conn_extra(socket);
    struct http2 *http2 = extra ? calloc(1, sizeof *http2) : NULL;
    if (!http2)
        return NULL;
    http2->shard = shard;
    http2_heads_init(&http2->heads);
    carrier_init(&http2->carrier, &ops, conn_slot(shard, socket));
    if (make_session(http2) != 0) {
        http2_free(http2);
        return NULL;
    }
    extra->carrier = &http2->carrier;
    counter_add(&shard->counters.http2_connections, 1);
    return http2;
}

/* ---- the transport ---- */

/* Returns false when the connection is over. */
static bool feed(struct http2 *http2, const char *bytes, size_t len)
{
    http2->is_busy = true;
    ssize_t taken = nghttp2_session_mem_recv(http2->session, (const uint8_t *)bytes, len);
    http2->is_busy = false;
    if (http2->is_dead) {
        http2_free(http2);
        return false;
    }
    if (taken < 0)
        end_fatal(http2, taken);
    return taken >= 0;
}

static void http2_input(struct shard *shard, struct conn *socket, char *bytes, size_t len)
{
    struct http2 *http2 = http2_of(socket);
    if (!http2)
        http2 = begin(shard, socket);
    if (!http2) {
        conn_end(shard, socket, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    if (http2->has_failed)
        return;
    socket->role &= ~(uint32_t)ROLE_PING_SENT;
    struct http2_heads_found found = http2_heads_take(&http2->heads, bytes, len);
    if (!count_idle_frames(http2, found.idle_frames)) {
        end_flood(http2);
        return;
    }
    if (!feed(http2, bytes, found.good))
        return;
    http2->has_failed = found.error != 0;
    if (http2->has_failed)
        http2_submitted(http2, nghttp2_session_terminate_session(http2->session, found.error));
    if (socket->role & ROLE_UNWANTED && http2->has_served)
        go_away(http2, shard->draining ? CLOSE_GOING_AWAY : CLOSE_TABLE_FULL);
    carrier_due(shard, &http2->carrier);
}

static void http2_timer(struct shard *shard, struct conn *socket)
{
    struct http2 *http2 = http2_of(socket);
    if (!http2 || socket->role & ROLE_UNWANTED) {
        conn_end(shard, socket, END_CLOSE, http2 ? CLOSE_TABLE_FULL : CLOSE_HEAD_TIMEOUT);
    } else if (http2->carrier.count == 0) {
        go_away(http2, http2->has_served ? CLOSE_IDLE : CLOSE_HEAD_TIMEOUT);
        conn_timer(shard, socket, LINGER_MS);
        if (http2->is_late)
            conn_end(shard, socket, END_CLOSE, (enum close_reason)http2->end_reason);
        else
            http2->is_late = true;
    } else if (socket->role & ROLE_PING_SENT) {
        conn_end(shard, socket, END_CLOSE, CLOSE_HEARTBEAT);
    } else {
        counter_add(&shard->counters.pings, 1);
        socket->role |= ROLE_PING_SENT;
        http2_submitted(http2, nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL));
        carrier_due(shard, &http2->carrier);
        conn_heartbeat(shard, socket);
    }
}

static void http2_drain(struct shard *shard, struct conn *socket)
{
    struct http2 *http2 = http2_of(socket);
    if (!http2) {
        conn_end(shard, socket, END_LINGER, CLOSE_GOING_AWAY);
        return;
    }
    go_away(http2, CLOSE_GOING_AWAY);
    for (uint32_t slot = http2->carrier.streams; slot != TIMERS_NONE;) {
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

/* The peer has closed: nobody takes what its streams are owed. */
static bool http2_input_ended(struct shard *shard, struct conn *socket)
{
    conn_end(shard, socket, END_CLOSE, CLOSE_DONE);
    return true;
}

static void http2_closed(struct shard *shard, struct conn *socket)
{
    struct http2 *http2 = http2_of(socket);
    if (!http2)
        return;
    carrier_end_streams(shard, &http2->carrier);
    carrier_done(shard, &http2->carrier);
    budget_clear(&shard->budgets[BUDGET_HTTP2], &http2->charge);
    socket->extra->carrier = NULL;
    counter_sub(&shard->counters.http2_connections, 1);
    http2->is_dead = true;
    if (!http2->is_busy)
        http2_free(http2);
}

const struct transport http2_transport = {
    .name = "http2",
    .input = http2_input,
    .input_ended = http2_input_ended,
    .timer = http2_timer,
    .drain = http2_drain,
    .closed = http2_closed,
};
