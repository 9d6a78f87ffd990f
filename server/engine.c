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

/* On direct descriptors when `direct` is wanted and the kernel ends them at once. */
static int use_uring(struct engine *engine, bool direct, char *why, size_t why_size)
{
    struct ring_features features;
    int err = ring_probe(&features, why, why_size);
    if (err < 0)
        return err;
    if (direct && !features.direct)
        snprintf(engine->reason, sizeof engine->reason,
                 "on direct descriptors this kernel keeps what is closed as long as another client "
                 "idles (Linux 6.13 does not)");
    direct &= features.direct;
    engine->name = direct ? "io_uring" : "io_uring_fd";
    engine->ring_create = direct ? ring_uring_create : ring_uring_fd_create;
    engine->table_slots = direct ? features.table_slots : 0;
    return 0;
}

int engine_choose(struct engine *ret, const char *wanted, char *why, size_t why_size)
{
    *ret = (struct engine){.descriptors = ring_descriptors_raise()};
    if (strcmp(wanted, "epoll") == 0) {
        use_epoll(ret);
        return 0;
    }
    if (strcmp(wanted, "io_uring") == 0)
        return use_uring(ret, true, why, why_size);
    if (strcmp(wanted, "io_uring_fd") == 0)
        return use_uring(ret, false, why, why_size);
    if (strcmp(wanted, "auto") != 0) {
        snprintf(why, why_size, "engine = %s: needs auto, io_uring, io_uring_fd or epoll", wanted);
        return -EINVAL;
    }
    char reason[ENGINE_REASON_MAX];
    if (use_uring(ret, true, reason, sizeof reason) < 0) {
        snprintf(ret->reason, sizeof ret->reason, "%s", reason);
        use_epoll(ret);
    }
    return 0;
}

uint64_t engine_connections_max(const struct engine *engine, unsigned shards)
{
    if (engine->table_slots > 0)
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
    if (engine->table_slots > 0) {
        printf("engine io_uring: each shard opens kernel rings as it fills, with tables of %u "
               "descriptors (RLIMIT_NOFILE)\n",
               engine->table_slots);
        return;
    }
    printf("engine %s, %s%s: a connection takes a file descriptor (RLIMIT_NOFILE %" PRIu64 ")%s\n",
           engine->name, engine->reason[0] ? "because " : "as set", engine->reason,
           engine->descriptors,
           engine->ring_create == ring_epoll_create ? ", a send a system call" : "");
}
