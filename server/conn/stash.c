/* stash: input that cannot be understood before more of it has come, and bodies in pieces.
 *
 * It grows by doubling. A large one is a mapping of its own, whose pages are moved and not copied:
 * a crowd whose bodies grow side by side all double in the same turn. */
#include "conn/shard.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
#ifdef __SANITIZE_THREAD__
    /* TSan does not see mremap: what another thread once had at that address were a race to it. */
    STASH_HEAP_MAX = INT32_MAX,
#else
    STASH_HEAP_MAX = 64 * 1024, /* larger ones are mapped */
#endif
};

static char *map(const struct stash *stash, size_t size)
{
    if (stash->size > STASH_HEAP_MAX) {
        char *moved = mremap(stash->bytes, stash->size, size, MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    }
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    if (stash->len > 0)
        memcpy(bytes, stash->bytes, stash->len);
    free(stash->bytes);
    return bytes;
}

/* Returns 0 or -ENOMEM. */
static int grow(struct stash *stash, size_t size)
{
    char *bigger = size > STASH_HEAP_MAX ? map(stash, size) : realloc(stash->bytes, size);
    if (!bigger)
        return -ENOMEM;
    stash->bytes = bigger;
    stash->size = (uint32_t)size;
    return 0;
}

int stash_append(struct stash *stash, const char *bytes, size_t len, size_t max)
{
    if (stash->len + len > max)
        return -ENOBUFS;
    if (stash->len + len > stash->size) {
        size_t needed = stash->len + len, doubled = 2 * (size_t)stash->size;
        size_t size = doubled > needed ? doubled : needed;
        size = size > max ? max : size;
        if (grow(stash, size) < 0)
            return -ENOMEM;
    }
    if (len > 0)
        memcpy(stash->bytes + stash->len, bytes, len);
    stash->len += (uint32_t)len;
    return 0;
}

void stash_consume(struct stash *stash, size_t len)
{
    assert(len <= stash->len);
    stash->len -= (uint32_t)len;
    if (stash->len == 0)
        stash_free(stash);
    else
        memmove(stash->bytes, stash->bytes + len, stash->len);
}

static void release(const struct stash *stash)
{
    if (stash->size <= STASH_HEAP_MAX)
        free(stash->bytes);
    else
        munmap(stash->bytes, stash->size);
}

void stash_free(struct stash *stash)
{
    release(stash);
    *stash = (struct stash){0};
}

struct conn_extra *conn_extra(struct conn *conn)
{
    if (!conn->extra)
        conn->extra = calloc(1, sizeof *conn->extra);
    return conn->extra;
}

void conn_extra_trim(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn->extra;
    if (!extra || extra->queue.count > 0 || extra->input.len > 0 || extra->record.len > 0 ||
        extra->message.len > 0 || extra->transport_state || extra->gathering || extra->catch_up ||
        extra->carrier || extra->stalled || extra->has_body || extra->owed.bytes > 0 ||
        extra->kept.bytes > 0)
        return;
    free(extra->queue.frames);
    budget_clear(&shard->budgets[BUDGET_INPUT], &extra->held);
    release(&extra->input);
    release(&extra->message);
    release(&extra->record);
    free(extra);
    conn->extra = NULL;
}
