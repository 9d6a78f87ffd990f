#include "transport/ws_partial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Moved, not copied: while input is understood nobody else holds it, so closing in between is
 * simple. */
void ws_partial_load(struct ws_partial *partial, struct conn *conn)
{
    struct ws_partial *stored = conn->extra ? conn->extra->transport_state : NULL;
    if (!stored) {
        memset(partial, 0, sizeof *partial);
        return;
    }
    *partial = *stored;
    free(stored);
    conn->extra->transport_state = NULL;
}

int ws_partial_store(struct shard *shard, struct ws_partial *partial, struct conn *conn)
{
    if (conn->state != CONN_OPEN) {
        if (conn->extra)
            stash_free(&conn->extra->message);
        return 0;
    }
    if (ws_inbound_idle(&partial->inbound)) {
        assert(!conn->extra || conn->extra->message.len == 0);
        conn_extra_trim(shard, conn);
        return 0;
    }
    struct conn_extra *extra = conn_extra(conn);
    struct ws_partial *stored = extra ? malloc(sizeof *stored) : NULL;
    if (!stored) {
        if (extra)
            stash_free(&extra->message);
        conn_extra_trim(shard, conn);
        return -ENOMEM;
    }
    *stored = *partial;
    extra->transport_state = stored;
    extra->state_bytes = sizeof *stored;
    return 0;
}

void ws_partial_discard(struct conn *conn)
{
    struct ws_partial *stored = conn->extra ? conn->extra->transport_state : NULL;
    if (!stored)
        return;
    free(stored);
    conn->extra->transport_state = NULL;
}
