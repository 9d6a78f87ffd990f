#include "http/body.h"

/* Gives pieces as far as the input goes, each when it is known whether another one follows. Returns
 * how much of the input is used up. */
static size_t take(struct shard *shard, struct conn *conn, struct span input)
{
    const size_t size = input.len;
    struct span found = {0};
    while (conn->state == CONN_OPEN) {
        struct span piece = {0};
        int result = http_body_next(&conn->extra->body, &input, &piece);
        if (result < 0) {
            http_refuse(shard, conn, refusal_http(result));
            break;
        }
        bool last = result == HTTP_BODY_END;
        if (last)
            conn->extra->has_body = false;
        if (last || found.len > 0)
            conn_transport(shard, conn)->body(shard, conn, found, last);
        if (last)
            return size - input.len;
        if (result == HTTP_BODY_MORE)
            break;
        found = piece;
    }
    return size;
}

void http_body_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    size_t used = 0;
    if (!http_body_ended(conn))
        used = take(shard, conn, span_of(bytes, len));
    if (conn->state == CONN_OPEN && used < len)
        http_stash(shard, conn, bytes + used, len - used);
}

void http_body_collect(struct shard *shard, struct conn *conn, struct span piece, bool last,
                       http_body_whole *whole)
{
    struct stash *stash = &conn->extra->message;
    if (last && stash->len == 0) {
        whole(shard, conn, piece);
        return;
    }
    if (stash_append(stash, piece.ptr, piece.len, (size_t)shard->settings->message_bytes_max) < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    if (!last)
        return;
    struct stash body = *stash;
    *stash = (struct stash){0};
    whole(shard, conn, span_of(body.bytes, body.len));
    stash_free(&body);
}

void http_body_end(struct shard *shard, struct conn *stream)
{
    stream->extra->has_body = false;
    conn_transport(shard, stream)->body(shard, stream, (struct span){0}, true);
}

void http_tunnel_ended(struct shard *shard, struct conn *stream)
{
    const struct transport *transport = conn_transport(shard, stream);
    if (!transport->is_tunnel || stream->state != CONN_OPEN ||
        stream->transport == TRANSPORT_OPENING)
        return;
    if (transport->input_ended)
        transport->input_ended(shard, stream);
    conn_end(shard, stream, END_SENT, CLOSE_DONE);
}

void http_stream_input(struct shard *shard, struct conn *stream, char *bytes, size_t len)
{
    if (stream->state != CONN_OPEN)
        return;
    if (conn_transport(shard, stream)->is_tunnel)
        conn_transport(shard, stream)->input(shard, stream, bytes, len);
    else if (!http_body_ended(stream))
        http_body_input(shard, stream, bytes, len);
    budgets_charge_input(shard, stream);
}

void http_stream_ended(struct shard *shard, struct conn *stream)
{
    stream->link |= LINK_INPUT_ENDED;
    if (stream->state == CONN_LINGERING) /* that is what it has waited for */
        conn_end(shard, stream, END_CLOSE, (enum close_reason)stream->end_reason);
    if (stream->state != CONN_OPEN)
        return;
    if (conn_transport(shard, stream)->is_tunnel)
        http_tunnel_ended(shard, stream);
    else if (!http_body_ended(stream))
        http_body_end(shard, stream);
}

/* A stream has no chunks: what has no length ends with it. */
static int body_init(struct http_body *ret, const struct conn *conn,
                     const struct http_request *request, uint64_t max)
{
    if (conn->link & LINK_STREAM && request->fields.chunked)
        return http_body_init(ret, HTTP_FRAMING_CLOSE, 0, max);
    return http_request_body_init(ret, request, max);
}

bool http_body_begin(struct shard *shard, struct conn *conn, struct exchange *exchange,
                     uint64_t max)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return false;
    }
    int err = body_init(&extra->body, conn, exchange->request, max);
    if (err < 0) {
        http_refuse(shard, conn, refusal_http(err));
        return false;
    }
    extra->has_body = true;
    if (exchange->request->expect_continue && exchange->rest_len == 0)
        http_continue(shard, conn);
    if (conn->state != CONN_OPEN)
        return false;
    size_t used = take(shard, conn, span_of(exchange->rest, exchange->rest_len));
    if (used > 0) { /* else there may be none */
        exchange->rest += used;
        exchange->rest_len -= used;
    }
    return conn->state == CONN_OPEN;
}
