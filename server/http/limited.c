#include "http/limited.h"

#include "conn/client.h"
#include "conn/log.h"
#include "conn/trusted.h"
#include "wire/forwarded.h"

static enum refusal refusal_of(enum address_rate rate)
{
    return rate == ADDRESS_PUBLISHES ? REFUSAL_ADDRESS_PUBLISHES : REFUSAL_ADDRESS_REQUESTS;
}

/* The last address that is not a trusted proxy's: who asked the one that wrote it there. What
 * stands before it anybody may have made up. Returns false when there is none. */
static bool client_find(const struct shard *shard, const struct http_request *request,
                        struct in6_addr *ret)
{
    bool rfc = shard->settings->proxy_header == PROXY_HEADER_FORWARDED;
    struct span name = rfc ? SPAN("Forwarded") : SPAN("X-Forwarded-For");
    for (size_t i = request->fields.count; i > 0; i--) {
        const struct http_field *field = &request->fields.list[i - 1];
        struct span value = field->value;
        if (!span_equal_nocase(field->name, name))
            continue;
        int found = 1;
        while (found > 0) {
            found = forwarded_last(&value, rfc ? FORWARDED_RFC : FORWARDED_FOR, ret);
            if (found > 0 && !trusted_is(shard->server->trusted, ret))
                return true;
        }
        if (found < 0)
            return false;
    }
    return false;
}

/* Tells the client when to come back. */
static void shed(struct shard *shard, struct conn *conn, const struct route *route,
                 enum address_rate rate, uint32_t retry_ms)
{
    log_refusal(shard, conn, refusal_of(rate));
    (route && route->shed ? route->shed : http_shed)(shard, conn, refusal_of(rate), retry_ms);
}

void http_logged_request(struct shard *shard, struct conn *conn, const struct http_request *request)
{
    struct in6_addr client;
    if (conn->link & LINK_TRUSTED)
        log_client(shard, conn, client_find(shard, request, &client) ? &client : NULL);
    log_request(shard, conn, request);
}

bool http_limited_request(struct shard *shard, struct conn *conn, const struct route *route,
                          const struct http_request *request)
{
    bool trusted = conn->link & LINK_TRUSTED;
    struct in6_addr client;
    if (trusted)
        client_of_request(shard, conn, client_find(shard, request, &client) ? &client : NULL);
    uint32_t retry_ms = client_take(shard, conn, ADDRESS_REQUESTS);
    if (retry_ms == 0)
        return false;
    /* A proxy's connection has other requests, too. Only behind a body it cannot go on. */
    bool goes_on = trusted && !request->fields.chunked && request->fields.content_length == 0;
    if (!goes_on)
        conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    shed(shard, conn, route, ADDRESS_REQUESTS, retry_ms);
    if (!goes_on)
        conn_end(shard, conn, END_LINGER, CLOSE_ADDRESS_REQUESTS);
    return true;
}

bool http_limited_publish(struct shard *shard, struct conn *conn)
{
    uint32_t retry_ms = client_take(shard, conn, ADDRESS_PUBLISHES);
    if (retry_ms == 0)
        return false;
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    shed(shard, conn, NULL, ADDRESS_PUBLISHES, retry_ms);
    conn_end(shard, conn, END_LINGER, CLOSE_ADDRESS_PUBLISHES);
    return true;
}
