/* budget: what a shard holds of one kind for its clients, and which of them has held most for
 * longest.
 *
 *   class 0   [1, 2) bytes      ─► charge ─► charge ─► …     in the order in which they came
 *   class 1   [2, 4)            ─► …                         into the class: the first has held
 *   …                                                        as much for longest
 *   class 20  [1 MiB, 2 MiB)    ─► charge ─► …
 *
 * Idea     Whoever holds something has a charge, in the list of its order of magnitude. When the
 *          budget is spent, the first of each list is a candidate, and the one with the greatest
 *          product of bytes and time goes. So a crowd of small holders is not spared for a large
 *          one that came just now, nor a large one for a crowd; and whoever makes progress moves to
 *          the end of a smaller class.
 * Threads  One.
 * Memory   The charges are their holders', 32 bytes each; budget_set and budget_clear link them.
 * Bounds   Each call is O(1), budget_worst O(BUDGET_CLASSES). Whether the budget is spent, and what
 *          then happens, is the caller's affair. */
#pragma once

#include <stdint.h>

#define BUDGET_NONE UINT32_MAX

enum {
    BUDGET_CLASSES = 48, /* the last has all that is larger */
};

struct charge {
    struct charge *prev, *next;
    uint64_t bytes : 58; /* 0: nothing is held */
    uint64_t class : 6;
    uint32_t since; /* in this class: ticks of 2^20 ns, which go round in 52 days: then it is new */
    uint32_t holder;
};

struct budget {
    uint64_t bytes;   /* of all charges */
    uint32_t holders; /* charges with any */
    struct charge *classes[BUDGET_CLASSES];
};

/* The holder has so many bytes now. A charge belongs to one budget as long as it has any. */
void budget_set(struct budget *budget, struct charge *charge, uint32_t holder, uint64_t bytes,
                int64_t now_ns);

/* It has none. */
void budget_clear(struct budget *budget, struct charge *charge);

/* Who has held most for longest, or BUDGET_NONE. */
uint32_t budget_worst(const struct budget *budget, int64_t now_ns);
