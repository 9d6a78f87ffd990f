/* calls: what one participant has to say to the others, in lists through the calls themselves.
 *
 * Between a hub or a helper and the lanes. A list is handed over where no place in a lane is
 * reserved for anything else: before and behind what a turn takes.
 *
 * Threads  The participant's.
 * Memory   The ends of a list for each participant.
 * Bounds   A quarter of a lane at a time: messages go on, however much is called. */
#pragma once

#include <stddef.h>

#include "core/lane.h"
#include "hub/call.h"

struct hub_set;

struct call_list {
    struct call *first, *last;
    uint32_t open; /* asked and not answered; where no answer is wanted, not handed over */
};

struct calls {
    struct hub_set *set;
    unsigned self;
    struct call_list *to;     /* by participant */
    struct lane_bits waiting; /* others whose list has something */
};

/* Returns 0 or -ENOMEM. */
int calls_init(struct calls *calls, struct hub_set *set, unsigned self);
/* Drops what is left. */
void calls_done(struct calls *calls);

/* Returns 0, or -ENOBUFS when overflow_max are open. */
int calls_ask(struct calls *calls, unsigned target, struct call *call);
void calls_answer(struct calls *calls, struct call *call);

/* Hands over what lanes have room for, and adds whom to `unflushed`. */
void calls_send(struct calls *calls, struct lane_bits *unflushed);

/* Before a sleep. Returns true when there is room for what waits: do not sleep. */
bool calls_starve(const struct calls *calls);

/* A lane brought it from there: it is asked, or answered. `participant` is what run and done are
 * given. */
void calls_take(struct calls *calls, unsigned from, struct call *call, void *participant);

static inline bool calls_has_own(const struct calls *calls)
{
    return calls->to[calls->self].first != NULL;
}

/* Takes those to itself that are there now. */
void calls_take_own(struct calls *calls, void *participant);
