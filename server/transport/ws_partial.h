/* ws_partial: what a WebSocket keeps of a message that is half received, besides its fragments:
 * those are in conn_extra, and the codec holds them to message_bytes_max.
 *
 * Threads  The shard's.
 * Memory   Loaded onto the stack while input is understood; stored on the heap, as conn_extra's
 *          transport_state, only when something is half done. */
#pragma once

#include "conn/conn.h"
#include "wire/ws.h"

struct ws_partial {
    struct ws_inbound inbound;
    int64_t since_ns; /* when it began; 0: not yet stored */
};

void ws_partial_load(struct ws_partial *partial, struct conn *conn);
/* Returns 0 or -ENOMEM; then nothing is kept. */
int ws_partial_store(struct shard *shard, struct ws_partial *partial, struct conn *conn);
void ws_partial_discard(struct conn *conn);
