#include "transport/ws_partial.h"

#include <assert.h>
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

void ws_partial_store(struct ws_partial *partial, struct conn *conn)
{
    if (conn->state != CONN_OPEN) {
        ws_partial_clear(partial);
        return;
    }
    if (ws_inbound_idle(&partial->inbound)) {
        assert(!partial->payload);
        conn_extra_trim(conn);
        return;
    }
    struct ws_partial *stored = malloc(sizeof *stored);
    assert(stored);
    *stored = *partial;
    conn_extra(conn)->transport_state = stored;
}

void ws_partial_discard(struct conn *conn)
{
    struct ws_partial *stored = conn->extra ? conn->extra->transport_state : NULL;
    if (!stored)
        return;
    ws_partial_clear(stored);
    free(stored);
    conn->extra->transport_state = NULL;
}

void ws_partial_add(struct ws_partial *partial, struct span piece)
{
    if (partial->len + piece.len > partial->size) {
        size_t size = partial->size * 2 > partial->len + piece.len ? partial->size * 2
                                                                   : partial->len + piece.len;
        partial->payload = realloc(partial->payload, size);
        assert(partial->payload);
        partial->size = size;
    }
    if (piece.len > 0)
        memcpy(partial->payload + partial->len, piece.ptr, piece.len);
    partial->len += piece.len;
}

struct span ws_partial_payload(const struct ws_partial *partial)
{
    return span_of(partial->payload, partial->len);
}

void ws_partial_clear(struct ws_partial *partial)
{
    free(partial->payload);
    partial->payload = NULL;
    partial->len = partial->size = 0;
}
