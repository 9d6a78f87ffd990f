#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    DESCRIPTORS_OF_PROCESS = 16, /* standard streams, files being read */
    DESCRIPTORS_OF_SHARD = 72,   /* its own, and the 64 slots that shard_connections adds */
    SPARE_SHARE = 8, /* kept for uneven shards, and to tell those who come too many that they do */
};

static uint64_t reserved(unsigned shards)
{
    return DESCRIPTORS_OF_PROCESS + (uint64_t)shards * DESCRIPTORS_OF_SHARD;
}

static void use_epoll(struct engine *engine)
{
    engine->name = "epoll";
    engine->ring_create = ring_epoll_create;
}

static int use_uring(struct engine *engine, char *why, size_t why_size)
{
    struct ring_features features;
    int err = ring_probe(&features, why, why_size);
    engine->name = "io_uring";
    engine->ring_create = ring_uring_create;
    engine->table_slots = features.table_slots;
    return err;
}

int engine_choose(struct engine *ret, const char *wanted, char *why, size_t why_size)
{
    *ret = (struct engine){.descriptors = ring_descriptors_raise()};
    if (strcmp(wanted, "epoll") == 0) {
        use_epoll(ret);
        return 0;
    }
    if (strcmp(wanted, "io_uring") == 0)
        return use_uring(ret, why, why_size);
    if (strcmp(wanted, "auto") != 0) {
        snprintf(why, why_size, "engine = %s: needs auto, io_uring or epoll", wanted);
        return -EINVAL;
    }
    if (use_uring(ret, ret->reason, sizeof ret->reason) < 0)
        use_epoll(ret);
    return 0;
}

uint64_t engine_connections_max(const struct engine *engine, unsigned shards)
{
    if (engine->ring_create != ring_epoll_create)
        return UINT64_MAX;
    if (engine->descriptors < reserved(shards) + 2 * (uint64_t)shards)
        return shards;
    uint64_t usable = engine->descriptors - reserved(shards);
    return usable - usable / SPARE_SHARE;
}

uint64_t engine_descriptors_needed(uint64_t connections, unsigned shards)
{
    return connections + connections / (SPARE_SHARE - 1) + 1 + reserved(shards);
}

void engine_announce(const struct engine *engine)
{
    if (engine->ring_create == ring_uring_create)
        printf("engine io_uring: each shard opens kernel rings as it fills, with tables of %u "
               "descriptors (RLIMIT_NOFILE)\n",
               engine->table_slots);
    else
        printf("engine epoll, %s%s: a connection takes a file descriptor (RLIMIT_NOFILE %" PRIu64
               "), a send a system call\n",
               engine->reason[0] ? "because " : "as set", engine->reason, engine->descriptors);
}
