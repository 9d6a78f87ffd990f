#include "http/limited.h"

#include "conn/client.h"

static enum refusal refusal_of(enum address_rate rate)
{
    return rate == ADDRESS_PUBLISHES ? REFUSAL_ADDRESS_PUBLISHES : REFUSAL_ADDRESS_REQUESTS;
}

static enum close_reason reason_of(enum address_rate rate)
{
    return rate == ADDRESS_PUBLISHES ? CLOSE_ADDRESS_PUBLISHES : CLOSE_ADDRESS_REQUESTS;
}

bool http_limited(struct shard *shard, struct conn *conn, const struct route *route,
                  enum address_rate rate)
{
    uint32_t retry_ms = client_take(shard, conn, rate);
    if (retry_ms == 0)
        return false;
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    counter_add(&shard->counters.refused[refusal_of(rate)], 1);
    (route && route->shed ? route->shed : http_shed)(shard, conn, refusal_of(rate), retry_ms);
    conn_end(shard, conn, END_LINGER, reason_of(rate));
    return true;
}
