/* answer: HTTP answers that are complete at once. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "conn/log.h"
#include "http/exchange.h"
#include "http/origins.h"
#include "wire/out.h"

enum {
    EXTRA_MAX = 1024,
    ERROR_BODY_MAX = 512,
    RETRY_AFTER_MAX = 32,
};

size_t http_head_begin(struct shard *shard, struct conn *conn, char *buf, size_t size,
                       const struct http_head *head)
{
    struct span cors = origins_fields(http_origins(shard, conn), conn->origin);
    struct span date = span_of(shard->date, shard->date_len);
    char fields[EXTRA_MAX];
    struct out out = out_begin(fields, sizeof fields);
    out_span(&out, date);
    out_span(&out, cors);
    if (conn->listener == LISTENER_TLS)
        out_span(&out, shard->server->alt_svc);
    out_span(&out, head->extra);
    assert(!out.overflow);
    const struct http_response_head full = {
        .status = head->status,
        .minor_version = conn->asked & ASKED_HTTP_10 ? 0 : 1,
        .keep_alive = conn->asked & ASKED_KEEP_ALIVE,
        .framing = head->framing,
        .content_length = head->length,
        .content_type = head->type,
        .extra = {fields, (size_t)(out.at - out.start)},
    };
    if (conn->link & LINK_STREAM) {
        stream_head(shard, conn, &full);
        return 0;
    }
    int len = http_response_head_write(buf, size, &full);
    assert(len > 0);
    return (size_t)len;
}

void http_head_send(struct shard *shard, struct conn *conn, const struct http_head *head)
{
    char bytes[HTTP_ANSWER_HEAD_MAX];
    size_t len = http_head_begin(shard, conn, bytes, sizeof bytes, head);
    if (len > 0)
        conn_send_bytes(shard, conn, span_of(bytes, len));
}

void http_continue(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_STREAM)
        stream_head(shard, conn, &(struct http_response_head){.status = 100});
    else
        conn_send_bytes(shard, conn, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}

void http_answer(struct shard *shard, struct conn *conn, int status, struct span content_type,
                 struct span body, struct span extra)
{
    size_t room = HTTP_ANSWER_HEAD_MAX + extra.len;
    char *out = blocks_reserve(&shard->blocks, room + body.len);
    if (!out) {
        conn_send(shard, conn, (struct frame){0}, SEND_ANSWER, 0);
        return;
    }
    /* RFC 9110 section 8.6: a 204 has no Content-Length; that of a 304 is the length of another
     * answer. */
    enum http_framing framing =
        status == 204 || status == 304 ? HTTP_FRAMING_NONE : HTTP_FRAMING_LENGTH;
    size_t len = http_head_begin(shard, conn, out, room,
                                 &(struct http_head){.status = status,
                                                     .framing = framing,
                                                     .length = body.len,
                                                     .type = content_type,
                                                     .extra = extra});
    if (body.len > 0 && !(conn->asked & ASKED_HEAD_ONLY)) {
        memcpy(out + len, body.ptr, body.len);
        len += body.len;
    }
    http_send(shard, conn, blocks_commit(&shard->blocks, len));
}

size_t http_pieces_head(struct shard *shard, struct conn *conn, char *buf, size_t size,
                        struct span content_type, struct span extra)
{
    const struct http_head head = {
        .status = 200, .framing = http_stream_framing(conn), .type = content_type, .extra = extra};
    if (!http_is_chunked(conn))
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    return http_head_begin(shard, conn, buf, size, &head);
}

size_t http_piece_frame(const struct conn *conn, char *area, size_t body, bool last)
{
    char head[HTTP_CHUNK_HEAD_MAX];
    assert(body > 0 && body <= HTTP_PIECE_MAX);
    size_t gap = http_is_chunked(conn) ? http_chunk_head_write(head, body) : 0;
    assert(gap <= HTTP_PIECE_GAP);
    if (gap < HTTP_PIECE_GAP)
        memmove(area + gap, area + HTTP_PIECE_GAP, body);
    if (gap == 0)
        return body;
    memcpy(area, head, gap);
    struct span end = last ? SPAN(HTTP_CHUNK_TAIL HTTP_CHUNK_LAST) : SPAN(HTTP_CHUNK_TAIL);
    memcpy(area + gap + body, end.ptr, end.len);
    return gap + body + end.len;
}

static void count_error(struct shard *shard, int status)
{
    counter_add(status < 500 ? &shard->counters.errors_4xx : &shard->counters.errors_5xx, 1);
}

void http_answer_no_body(struct shard *shard, struct conn *conn, struct span content_type,
                         struct span extra)
{
    assert(conn->asked & ASKED_HEAD_ONLY);
    http_head_send(
        shard, conn,
        &(struct http_head){
            .status = 200, .framing = HTTP_FRAMING_NONE, .type = content_type, .extra = extra});
}

void http_error_fields(struct shard *shard, struct conn *conn, enum refusal refusal,
                       struct span extra)
{
    char body[ERROR_BODY_MAX];
    int status = refusal_status(refusal);
    int len = snprintf(body, sizeof body, "{\"error\":\"%s\",\"message\":\"%s\"}\n",
                       refusal_name(refusal), refusal_sentence(refusal));
    assert(len > 0 && len < (int)sizeof body);
    log_refusal(shard, conn, refusal);
    count_error(shard, status);
    http_answer(shard, conn, status, SPAN("application/json"), span_of(body, (size_t)len), extra);
}

/* Whole seconds (RFC 9110 section 10.2.3), and not before the milliseconds are over. */
static struct span retry_after(char buf[RETRY_AFTER_MAX], uint32_t retry_ms)
{
    int len = snprintf(buf, RETRY_AFTER_MAX, "Retry-After: %u\r\n", (retry_ms + 999) / 1000);
    assert(len > 0 && len < RETRY_AFTER_MAX);
    return span_of(buf, (size_t)len);
}

/* The field that goes with a refusal's status. */
static struct span retry_field(struct shard *shard, char buf[RETRY_AFTER_MAX], enum refusal refusal)
{
    if (refusal_status(refusal) != 503)
        return (struct span){0};
    return retry_after(buf, admission_retry_ms(&shard->admission));
}

void http_error(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    char field[RETRY_AFTER_MAX];
    http_error_fields(shard, conn, refusal, retry_field(shard, field, refusal));
}

void http_shed(struct shard *shard, struct conn *conn, enum refusal refusal, uint32_t retry_ms)
{
    char body[ERROR_BODY_MAX], field[RETRY_AFTER_MAX];
    int len = snprintf(body, sizeof body, "{\"error\":\"%s\",\"message\":\"%s\",\"retry_ms\":%u}\n",
                       refusal_name(refusal), refusal_sentence(refusal), retry_ms);
    assert(len > 0 && len < (int)sizeof body);
    count_error(shard, refusal_status(refusal));
    http_answer(shard, conn, refusal_status(refusal), SPAN("application/json"),
                span_of(body, (size_t)len), retry_after(field, retry_ms));
}

void http_give_up(struct shard *shard, struct conn *conn)
{
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    http_error(shard, conn, REFUSAL_OVERLOADED);
}

static enum close_reason reason_of(enum refusal refusal)
{
    if (refusal == REFUSAL_HEAD_TIMEOUT || refusal == REFUSAL_BODY_TIMEOUT)
        return CLOSE_HEAD_TIMEOUT;
    if (refusal == REFUSAL_OVERLOADED)
        return CLOSE_OVERLOADED;
    if (refusal == REFUSAL_TOKEN_EXPIRED)
        return CLOSE_TOKEN_EXPIRED;
    if (refusal == REFUSAL_TOKEN_REVOKED)
        return CLOSE_REVOKED;
    return refusal == REFUSAL_DRAINING ? CLOSE_GOING_AWAY : CLOSE_BAD_REQUEST;
}

void http_refuse_fields(struct shard *shard, struct conn *conn, enum refusal refusal,
                        struct span extra)
{
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    http_error_fields(shard, conn, refusal, extra);
    conn_end(shard, conn, END_LINGER, reason_of(refusal));
}

void http_refuse(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    char field[RETRY_AFTER_MAX];
    http_refuse_fields(shard, conn, refusal, retry_field(shard, field, refusal));
}
