/* knee_find: takes the entrants of a field to their knees: the highest rate, or the largest number
 * of subscribers, at which 99 % of the deliveries still arrive within a bound.
 *
 * Idea     Open loop: messages are due by a schedule, and latency counts from there. Above what a
 *          server can do the backlog grows for as long as the turn lasts, so a turn has to be long
 *          enough for it to show: eight bounds near the knee, where an overload of an eighth then
 *          reaches the bound; two bounds while the steps are far apart. Each entrant is searched
 *          alone; the repeats that confirm are interleaved.
 * Threads  one.
 * Memory   none of its own; steps are kept in the knee.
 * Bounds   KNEE_STEPS_MAX steps, KNEE_CONFIRMS_MAX times the repeats.
 * Errors   0 or negative errno after a sentence; -EINTR. */
#pragma once

#include "experiment/field.h"
#include "experiment/knee_steps.h"

enum {
    KNEE_CONFIRMS_MAX = 3,
};

struct knee_aim {
    bool of_subscribers;
    double rate_per_s;         /* of_subscribers: what is published all the time */
    uint32_t subscribers_most; /* that are connected when the search begins */
    int64_t bound_ns;
    int64_t turn_ns;     /* the shortest turn */
    int64_t patience_ns; /* after this a search ends with what it has */
    unsigned repeats;
};

/* Steps until the knee is known within 5 %. Leaves it in knee->value; 0: nothing holds. */
int knee_find(struct field *field, unsigned index, const struct knee_aim *aim,
              struct contestant *into, struct knee *knee);

/* Repeats every entrant's knee in turns; one that does not hold more often than not goes down a
 * step and is tried again. The turns, the latency and the ledger of the contestants are those of
 * the repeats that confirmed. */
int knee_confirm(struct field *field, const struct knee_aim *aim, struct contestant **contestants,
                 struct knee **knees);
