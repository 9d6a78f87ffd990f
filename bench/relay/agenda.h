/* agenda: who is due next, of numbered parties with one time each: a binary heap that knows where
 * everybody is.
 *
 * Threads  one.
 * Memory   one block, agenda_init to agenda_done.
 * Bounds   `capacity` parties. Setting costs O(log n). */
#pragma once

#include <stdint.h>

struct agenda {
    int64_t *times;  /* by party */
    uint32_t *heap;  /* parties, the earliest first */
    uint32_t *place; /* by party: where it is in the heap */
    uint32_t count;
    uint32_t capacity;
};

#define AGENDA_NEVER INT64_MAX

/* Returns 0 or -ENOMEM. */
int agenda_init(struct agenda *agenda, uint32_t capacity);

void agenda_done(struct agenda *agenda);

/* Gives a party a time, or takes it away with AGENDA_NEVER. */
void agenda_set(struct agenda *agenda, uint32_t party, int64_t time_ns);

/* The earliest time, or AGENDA_NEVER. */
int64_t agenda_next_ns(const struct agenda *agenda);

/* The party of the earliest time; there must be one. */
uint32_t agenda_first(const struct agenda *agenda);
