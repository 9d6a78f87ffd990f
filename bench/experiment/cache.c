#include "experiment/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "measure/http_get.h"

int cache_start(struct bench *bench, struct cache *cache, const struct server *behind,
                uint32_t connections)
{
    int err = peer_read("nginx-cache", &cache->peer);
    return err == 0 ? peer_start_before(bench, cache->peer, behind, connections, &cache->server)
                    : err;
}

void cache_done(struct cache *cache)
{
    peer_free(cache->peer);
    *cache = (struct cache){0};
}

/* The server's own count, in which this very question is the last. */
static int requests_read(const struct server *server, uint64_t *ret)
{
    static const char name[] = "\nringside_requests_total ";
    struct http_get get;
    char *text = malloc(HTTP_GET_METRICS_MAX);
    http_get_init(&get, &server->address);
    int status = text ? http_get(&get, "/metrics", text, HTTP_GET_METRICS_MAX) : -ENOMEM;
    const char *found = status == 200 ? strstr(text, name) : NULL;
    if (found)
        *ret = strtoull(found + strlen(name), NULL, 10);
    http_get_done(&get);
    free(text);
    return found ? 0 : bench_fail(-EIO, "the server does not say how many requests it had");
}

int arrivals_begin(struct arrivals *arrivals, const struct server *server,
                   const struct cache *cache)
{
    if (cache)
        arrivals->cpu_ns = process_cpu_ns(&cache->server->process);
    return requests_read(server, &arrivals->requests);
}

int arrivals_end(struct arrivals *arrivals, const struct server *server, const struct cache *cache)
{
    uint64_t now = 0;
    int err = requests_read(server, &now);
    if (err == 0 && now > arrivals->requests)
        arrivals->reached += now - arrivals->requests - 1;
    if (cache)
        arrivals->used_ns += process_cpu_ns(&cache->server->process) - arrivals->cpu_ns;
    return err;
}
