/* watch: GET /admin/events at the operator's listener is an event stream about the server itself.
 *
 *   event: metrics   the text of /metrics, each second
 *   event: top       JSON of each shard: the channels that it delivered most to
 *
 * A watcher that is behind is told nothing until it has read: its timer stands still meanwhile.
 *
 * Threads  The shard's; what another shard knows is asked for by a call.
 * Memory   A call of 5 KiB for each shard and second.
 * Bounds   One report, and one answer of each shard. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "auth/permit.h"
#include "conn/top.h"
#include "hub/call.h"
#include "wire/out.h"
#include "wire/sse.h"

enum {
    REPORT_MS = 1000,
    ROW_TEXT_MAX = CHANNEL_NAME_MAX + 128,
};

static void send_event(struct shard *shard, struct conn *conn, const struct sse_event *event)
{
    size_t size = sse_event_size(event);
    char *area = blocks_reserve(&shard->blocks, HTTP_CHUNK_HEAD_MAX + size + 2);
    if (!area) {
        conn_send(shard, conn, (struct frame){0}, SEND_CONTROL, 0);
        return;
    }
    char *at = area;
    if (http_is_chunked(conn))
        at += http_chunk_head_write(at, size);
    at += sse_event_write(at, event);
    if (http_is_chunked(conn)) {
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    conn_send(shard, conn, blocks_commit(&shard->blocks, (size_t)(at - area)), SEND_CONTROL, 0);
}

/* ---- the channels of another shard ---- */

struct look {
    struct call call;
    unsigned shard;
    unsigned count;
    struct top_row rows[TOP_ROWS];
};

static void look_drop(struct call *call)
{
    free(call);
}

static void look_run(void *target, struct call *call)
{
    struct shard *shard = target;
    struct look *look = (struct look *)call;
    if (!shard->top)
        shard->top = calloc(1, sizeof *shard->top);
    if (shard->top) {
        const struct top_window *window = top_watch(shard->top, shard->now_ns);
        look->count = window->count;
        memcpy(look->rows, window->rows, window->count * sizeof window->rows[0]);
    }
    hub_answer(shard->hub, call);
}

/* Names have no character that JSON would escape. */
static size_t look_write(char *buf, size_t size, const struct look *look)
{
    int len = snprintf(buf, size, "{\"shard\":%u,\"channels\":[", look->shard);
    for (unsigned i = 0; i < look->count; i++) {
        const struct top_row *row = &look->rows[i];
        len += snprintf(buf + len, size - (size_t)len,
                        "%s{\"channel\":\"%.*s\",\"subscribers\":%u,\"messages\":%llu,"
                        "\"deliveries\":%llu}",
                        i > 0 ? "," : "", (int)row->name_len, row->name, row->subscribers,
                        (unsigned long long)row->messages, (unsigned long long)row->deliveries);
    }
    len += snprintf(buf + len, size - (size_t)len, "]}");
    assert(len > 0 && (size_t)len < size);
    return (size_t)len;
}

static void look_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct look *look = (struct look *)call;
    struct conn *conn = conn_of_ticket(shard, &call->ticket);
    char text[TOP_ROWS * ROW_TEXT_MAX];
    if (conn && !conn_blocked(conn)) {
        size_t len = look_write(text, sizeof text, look);
        send_event(shard, conn,
                   &(struct sse_event){.event = SPAN("top"), .data = span_of(text, len)});
    }
    free(look);
}

static const struct call_ops look_ops = {.run = look_run, .done = look_done, .drop = look_drop};

static void look_at(struct shard *shard, struct conn *conn, unsigned target)
{
    struct look *look = calloc(1, sizeof *look);
    if (!look)
        return;
    look->call.ops = &look_ops;
    look->call.ticket = conn_ticket(shard, conn, 0);
    look->shard = target;
    if (hub_call(shard->hub, target, &look->call) < 0)
        free(look);
}

/* ---- the stream ---- */

static void report(struct shard *shard, struct conn *conn)
{
    struct span text = metrics_make(shard);
    conn_timer(shard, conn, REPORT_MS);
    for (unsigned i = 0; i < shard->server->shard_count; i++)
        look_at(shard, conn, i);
    if (text.ptr)
        send_event(shard, conn, &(struct sse_event){.event = SPAN("metrics"), .data = text});
    free((char *)(uintptr_t)text.ptr);
}

static void watch_end(struct shard *shard, struct conn *conn)
{
    if (http_is_chunked(conn))
        conn_send_bytes(shard, conn, SPAN(HTTP_CHUNK_LAST));
    conn_end(shard, conn, END_LINGER, CLOSE_GOING_AWAY);
}

/* What a client sends behind its request is read and dropped, as on any event stream. */
static void watch_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    (void)shard, (void)conn, (void)bytes, (void)len;
}

void watch_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span type = SPAN(SSE_CONTENT_TYPE);
    struct span fields = SPAN("Cache-Control: no-store\r\n");
    if (!auth_is_server(shard, exchange->request)) {
        permit_refuse(shard, conn, exchange->request, REFUSAL_API_KEY_REQUIRED);
        return;
    }
    if (conn->asked & ASKED_HEAD_ONLY) {
        http_answer_no_body(shard, conn, type, fields);
        return;
    }
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    conn_hand_over(conn, TRANSPORT_WATCH);
    http_head_send(
        shard, conn,
        &(struct http_head){
            .status = 200, .framing = http_stream_framing(conn), .type = type, .extra = fields});
    if (conn->state == CONN_OPEN)
        report(shard, conn);
}

const struct transport watch_transport = {
    .name = "watch",
    .input = watch_input,
    .timer = report,
    .drain = watch_end,
};
