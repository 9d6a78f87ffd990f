/* stash: input that cannot be understood before more of it has come, and bodies in pieces. */
#include "conn/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int stash_append(struct stash *stash, const char *bytes, size_t len, size_t max)
{
    if (stash->len + len > max)
        return -ENOBUFS;
    if (stash->len + len > stash->size) {
        size_t needed = stash->len + len, doubled = 2 * (size_t)stash->size;
        size_t size = doubled > needed ? doubled : needed;
        size = size > max ? max : size;
        char *bigger = realloc(stash->bytes, size);
        if (!bigger)
            return -ENOMEM;
        stash->bytes = bigger;
        stash->size = (uint32_t)size;
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

void stash_free(struct stash *stash)
{
    free(stash->bytes);
    *stash = (struct stash){0};
}

struct conn_extra *conn_extra(struct conn *conn)
{
    if (!conn->extra)
        conn->extra = calloc(1, sizeof *conn->extra);
    return conn->extra;
}

void conn_extra_trim(struct conn *conn)
{
    struct conn_extra *extra = conn->extra;
    if (!extra || extra->queue.count > 0 || extra->input.len > 0 || extra->record.len > 0 ||
        extra->message.len > 0 || extra->transport_state || extra->gathering || extra->catch_up ||
        extra->carrier || extra->stalled || extra->has_body || extra->owed.budget ||
        extra->kept.budget)
        return;
    free(extra->queue.frames);
    budget_clear(&extra->held);
    free(extra->input.bytes);
    free(extra->message.bytes);
    free(extra->record.bytes);
    free(extra);
    conn->extra = NULL;
}
