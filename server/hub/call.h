/* call: a question from one participant of the lanes to another, and the same object back as its
 * answer. Participants are the shards, and threads that are none (hub/helper.h).
 *
 *   asker                                       target
 *   hub_call ───► list ─► lane (ITEM_CALL) ───► run: answers at once or later
 *   done ◄─────────────── lane (ITEM_CALLED) ◄── list ◄─ hub_answer
 *
 * Idea     Its user makes it, with what is asked and what is answered behind this head, and knows
 *          it again in run and done. It carries its own link: to wait for a full lane takes no
 *          memory, so an answer can always be given.
 * Order    Calls from one participant to another stay in order, and so do answers. Messages, and
 *          what is asked of channels, do not wait for them.
 * Threads  It belongs to one thread at a time: the asker's until it is asked, the target's from run
 *          until it is answered, the asker's again in done.
 * Memory   The user's. done frees it; run does where no answer is wanted; drop does where it is
 *          left over, because its target or its asker has gone.
 * Bounds   hub_config.overflow_max from one participant to one other, asked and not answered:
 *          -ENOBUFS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/ticket.h"

struct call;
struct helper;
struct hub;

struct call_ops {
    /* On the target's thread. `target` is what its hub or helper was made with: the shard. The call
     * may be answered from inside. */
    void (*run)(void *target, struct call *call);
    /* On the asker's thread, with what it was made with. NULL: no answer is wanted. */
    void (*done)(void *asker, struct call *call);
    /* On any thread: nobody will see it any more. */
    void (*drop)(struct call *call);
};

struct call {
    const struct call_ops *ops;
    struct ticket ticket; /* the asker's: who waits */
    int err;              /* the target's: 0 or negative errno */
    bool answered;        /* from here on the lanes' */
    uint16_t from;
    struct call *next;
};

/* Asks a participant: a shard by its index, or a helper (hub/helper.h); this very shard too. It
 * leaves with the turn. Returns 0, or -ENOBUFS; then the call stays with the caller. */
int hub_call(struct hub *hub, unsigned target, struct call *call);

/* Answers what `run` was given, from there or later. */
void hub_answer(struct hub *hub, struct call *call);
