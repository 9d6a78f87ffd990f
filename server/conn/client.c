#include "conn/client.h"

#include <errno.h>

#include "conn/shard.h"
#include "conn/trusted.h"
#include "core/pages.h"
#include "wire/address.h"

int clients_table(struct addresses **ret, const struct settings *settings, const uint64_t seed[2])
{
    const struct addresses_config config = {
        .count = (uint32_t)settings->addresses_max,
        .connections_max = (uint32_t)settings->address_connections_max,
        .per_s = {settings->address_connects_per_s, settings->address_requests_per_s,
                  settings->address_publishes_per_s},
        .burst_ns = settings->address_burst_ms * 1000000,
        .seed = {seed[0], seed[1]},
    };
    bool limited = config.connections_max > 0;
    for (int rate = 0; rate < ADDRESS_RATES; rate++)
        limited |= config.per_s[rate] > 0;
    *ret = limited ? addresses_create(&config) : NULL;
    return limited && !*ret ? -ENOMEM : 0;
}

int clients_init(struct shard *shard)
{
    shard->clients = pages_map(shard->slab_slots * sizeof *shard->clients);
    return shard->clients ? 0 : -ENOMEM;
}

void clients_done(struct shard *shard)
{
    pages_unmap(shard->clients, shard->slab_slots * sizeof *shard->clients);
}

bool client_named(struct shard *shard, struct conn *conn, const struct in6_addr *address)
{
    if (trusted_is(shard->server->trusted, address)) {
        conn->link |= LINK_TRUSTED;
        return true;
    }
    uint64_t key = address_key(address);
    shard->clients[conn_slot(shard, conn)] = key;
    switch (addresses_enter(shard->server->addresses, key, shard->now_ns)) {
    case ADDRESS_IN:
        conn->link |= LINK_COUNTED;
        counter_add(&shard->counters.addresses_counted, 1);
        return true;
    case ADDRESS_UNTRACKED:
        counter_add(&shard->counters.addresses_untracked, 1);
        return true;
    case ADDRESS_TOO_MANY:
        conn_end(shard, conn, END_CLOSE, CLOSE_ADDRESS_CONNECTIONS);
        return false;
    case ADDRESS_TOO_FAST:
        conn_end(shard, conn, END_CLOSE, CLOSE_ADDRESS_CONNECTS);
        return false;
    }
    return true;
}

bool client_accepted(struct shard *shard, struct conn *conn)
{
    uint32_t slot = conn_slot(shard, conn);
    shard->clients[slot] = 0;
    if (conn->listener == LISTENER_ADMIN || conn->link & LINK_PROXY)
        return true;
    return client_named(shard, conn, ring_peer(shard->ring, slot));
}

void client_of_request(struct shard *shard, struct conn *conn, const struct in6_addr *address)
{
    shard->clients[conn_slot(shard, conn)] = address ? address_key(address) : 0;
}

void client_closed(struct shard *shard, struct conn *conn)
{
    conn->link &= ~(uint32_t)LINK_COUNTED;
    counter_sub(&shard->counters.addresses_counted, 1);
    addresses_leave(shard->server->addresses, shard->clients[conn_slot(shard, conn)]);
}

uint32_t client_take(struct shard *shard, const struct conn *conn, enum address_rate rate)
{
    int64_t wait_ns = addresses_take(shard->server->addresses,
                                     shard->clients[conn_slot(shard, conn)], rate, shard->now_ns);
    if (wait_ns < 0)
        counter_add(&shard->counters.addresses_untracked, 1);
    return wait_ns > 0 ? (uint32_t)((wait_ns + 999999) / 1000000) : 0;
}
