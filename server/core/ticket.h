/* ticket: who waits for an answer that another thread gives, or that takes more than a turn.
 *
 * Idea     Whoever asks hands a ticket along and keeps nothing: the answer brings it back. A
 *          connection may have ended meanwhile, and another may have its slot: the generation says
 *          so, and the answer is dropped. Nothing has to be called back when a client goes.
 * Threads  Any: it is copied with the question. Only the shard that made it may redeem it
 *          (conn_of_ticket). */
#pragma once

#include <stdint.h>

struct ticket {
    uint32_t conn; /* the slot: of a subscription, below HUB_CONNS_MAX */
    uint32_t generation;
    uint32_t tag; /* which of the things that this connection waits for */
};
