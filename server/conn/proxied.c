#include "conn/proxied.h"

#include "conn/client.h"
#include "conn/log.h"
#include "conn/shard.h"
#include "wire/proxy.h"

void proxied_accepted(struct shard *shard, struct conn *conn)
{
    if (shard->proxied & 1U << conn->listener)
        conn->link |= LINK_PROXY;
}

static struct stash so_far(const struct conn *conn)
{
    return conn->extra ? conn->extra->input : (struct stash){0};
}

size_t proxied_room(const struct conn *conn)
{
    struct proxy_head head;
    struct stash stash = so_far(conn);
    proxy_parse(&head, stash.bytes, stash.len);
    return head.missing;
}

/* From here on the connection is as any other. */
static void begin(struct shard *shard, struct conn *conn, const struct proxy_head *head)
{
    conn->link &= ~(uint32_t)LINK_PROXY;
    if (!(conn->link & LINK_TLS || conn->role & ROLE_UNWANTED))
        conn_timer(shard, conn, shard->settings->head_timeout_ms);
    if (shard->server->log && head->named)
        log_client(shard, conn, &head->source);
    if (shard->clients && head->named)
        client_named(shard, conn, &head->source);
}

void proxied_input(struct shard *shard, struct conn *conn, const char *bytes, size_t len)
{
    struct proxy_head head;
    struct conn_extra *extra = conn_extra(conn);
    if (!extra || stash_append(&extra->input, bytes, len, PROXY_HEAD_MAX) < 0) {
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    int size = proxy_parse(&head, extra->input.bytes, extra->input.len);
    if (size < 0) {
        conn_end(shard, conn, END_CLOSE, CLOSE_PROXY);
    } else if (size > 0) {
        stash_free(&extra->input);
        conn_extra_trim(shard, conn);
        begin(shard, conn, &head);
    }
}

void proxied_timer(struct shard *shard, struct conn *conn)
{
    conn_end(shard, conn, END_CLOSE, CLOSE_PROXY);
}
