/* cache: what stands between clients that poll and their server, and keeps answers: nginx with
 * proxy_cache (bench/peers/nginx-cache). And how many requests reached the server, with it or
 * without.
 *
 *     clients ─► cache, on the clients' CPUs ─► server ─► its own count of requests
 *
 * Threads  one.
 * Memory   cache_start to cache_done. */
#pragma once

#include <stdint.h>

#include "experiment/bench.h"
#include "experiment/peer.h"

struct cache {
    struct peer *peer;
    struct server *server;
};

/* Starts one before `behind`, for so many connections. Returns 0 or negative errno, after a
 * sentence. */
int cache_start(struct bench *bench, struct cache *cache, const struct server *behind,
                uint32_t connections);

/* Accepts one that was not started. Its process is the bench's to end. */
void cache_done(struct cache *cache);

/* What came to a server, and what a cache used, over turns that are counted. */
struct arrivals {
    uint64_t requests, reached; /* now, and over the turns */
    int64_t cpu_ns, used_ns;    /* of the cache; likewise */
};

/* Before and behind a turn. `cache` NULL: there is none. Return 0 or negative errno, after a
 * sentence. */
int arrivals_begin(struct arrivals *arrivals, const struct server *server,
                   const struct cache *cache);
int arrivals_end(struct arrivals *arrivals, const struct server *server, const struct cache *cache);
