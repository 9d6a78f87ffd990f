/* engine: which engine turns the rings of this process, why, and how many connections it can have.
 *
 *   engine = auto         io_uring where the kernel and its keepers allow it, else epoll
 *   engine = io_uring     that, or the server does not start; on direct descriptors where the
 *                         kernel ends closed ones at once (6.13), else as the next
 *   engine = io_uring_fd  io_uring on ordinary descriptors, or the server does not start
 *   engine = epoll        that; io_uring is not even asked for
 *
 * Threads  Chosen before the shards start, read-only afterwards.
 * Bounds   Where a connection is a descriptor of the process RLIMIT_NOFILE bounds how many there
 *          can be. On direct descriptors it bounds nothing but the size of a table.
 * Errors   0 or negative errno, with one line in `why`. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"

enum {
    ENGINE_REASON_MAX = 256,
};

struct engine {
    const char *name; /* as ring->engine->name */
    int (*ring_create)(struct ring **ret, const struct ring_config *config, char *why,
                       size_t why_size);
    uint64_t descriptors; /* RLIMIT_NOFILE */
    unsigned
        table_slots; /* direct descriptors in the table of one kernel ring; 0: there are none */
    char reason[ENGINE_REASON_MAX]; /* why it is not a better one; empty when it was asked for */
};

/* Raises the limit of descriptors, and asks the kernel for io_uring unless `wanted` is epoll. */
int engine_choose(struct engine *ret, const char *wanted, char *why, size_t why_size);

/* The most connections that the descriptors allow on so many shards, which have an eighth more than
 * their share; UINT64_MAX on direct ones. */
uint64_t engine_connections_max(const struct engine *engine, unsigned shards);

/* The RLIMIT_NOFILE that so many connections take. */
uint64_t engine_descriptors_needed(uint64_t connections, unsigned shards);

/* Prints what the operator should know of the engine, as one line. */
void engine_announce(const struct engine *engine);
