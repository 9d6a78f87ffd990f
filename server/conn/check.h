/* check: what must hold of every connection and of a shard's lists, between any two of their steps.
 *
 * Idea     The rules of conn.h as a test: a broken one has a sentence, which the simulation prints
 *          after the turn that broke it. Builds with a sanitizer assert them where a connection was
 *          just touched; all others leave them out.
 * Threads  The shard's.
 * Cost     conn_check: a line. shard_check: every slot that was ever used, and their queues. */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "conn/shard.h"

/* The first rule that does not hold, or NULL. */
const char *conn_check(const struct shard *shard, const struct conn *conn);

/* The same after a turn, for the shard and all of its connections; the slot it is about, when it is
 * about one, goes to `ret_slot`. */
const char *shard_check(const struct shard *shard, uint32_t *ret_slot);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONN_CHECKED true
#else
#define CONN_CHECKED false
#endif

/* An assertion that says which rule. */
static inline void conn_assert(const struct shard *shard, const struct conn *conn)
{
    const char *broken = CONN_CHECKED ? conn_check(shard, conn) : NULL;
    if (broken)
        __assert_fail(broken, __FILE__, __LINE__, __func__);
}
