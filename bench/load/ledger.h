/* ledger: what a subscriber has received, in eight bytes.
 *
 *     … 17 18 19 20 │ 21 …        expected = 21: the next number that would be in order
 *     seen: bit i is the number expected-1-i, so that a late message is told from a second copy
 *
 * A number above the expected one counts all between as lost. One of them that still comes is taken
 * out of the lost again and is out of order. Further back than 32 numbers, and before a subscriber
 * joined, a message counts as a duplicate.
 *
 * Threads  the owner's.
 * Memory   none.
 * Bounds   numbers are 1 … 2^32 - 2. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "load/load.h"

struct ledger_place {
    uint32_t expected; /* 0: has received nothing yet */
    uint32_t seen;
};

/* Counts one delivery in the group's sums, of which `expected` is left to load_ledger_read. */
void ledger_note(struct load_ledger *sums, struct ledger_place *place, uint32_t number,
                 uint32_t client);

/* How many of the numbers up to `last` a place has not reached. */
static inline uint32_t ledger_behind(const struct ledger_place *place, uint32_t last)
{
    return place->expected != 0 && place->expected <= last ? last + 1 - place->expected : 0;
}
