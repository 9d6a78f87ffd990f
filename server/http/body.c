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

bool http_body_begin(struct shard *shard, struct conn *conn, struct exchange *exchange,
                     uint64_t max)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return false;
    }
    int err = http_request_body_init(&extra->body, exchange->request, max);
    if (err < 0) {
        http_refuse(shard, conn, refusal_http(err));
        return false;
    }
    extra->has_body = true;
    if (exchange->request->expect_continue && exchange->rest_len == 0)
        conn_send_bytes(shard, conn, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    if (conn->state != CONN_OPEN)
        return false;
    size_t used = take(shard, conn, span_of(exchange->rest, exchange->rest_len));
    exchange->rest += used;
    exchange->rest_len -= used;
    return conn->state == CONN_OPEN;
}
