/* alarms: one deadline per number, to the nanosecond, for what the wheel of timers is too coarse
 * for: the packets of carriers on datagrams.
 *
 *             heap[0]               a heap of four branches: 16 bytes an entry, four entries a line
 *      ┌──────┬──┴───┬──────┐
 *   heap[1] heap[2] heap[3] heap[4]            places[id] ─► where it is in the heap
 *
 * Idea     A thread that serves packets needs the first deadline of all, and no order among the
 *          rest. Whoever would set one with every packet leaves it where it is when the new one is
 *          later, and looks again when it goes off.
 * Threads  The owner's.
 * Memory   20 bytes for each number that may have an alarm, reserved at once and touched as they
 *          come into use.
 * Bounds   Numbers 0 … ids - 1.
 * Cost     Set, cancel and pop: the height of the heap, 9 levels for 100,000. */
#pragma once

#include <stdint.h>

#define ALARMS_NONE UINT32_MAX

struct alarm;

struct alarms {
    struct alarm *heap;
    uint32_t *places; /* by id: 1 + its place, or 0 */
    uint32_t ids;
    uint32_t count;
};

/* Returns 0 or -ENOMEM. */
int alarms_init(struct alarms *alarms, uint32_t ids);
/* Also of one that was not made and is zero. */
void alarms_done(struct alarms *alarms);

/* Sets the alarm of a number, replacing an earlier one. */
void alarms_set(struct alarms *alarms, uint32_t id, int64_t at_ns);

/* Does nothing when it has none. */
void alarms_cancel(struct alarms *alarms, uint32_t id);

/* When the alarm of a number is due, or the first of all; INT64_MAX: there is none. */
int64_t alarms_at_ns(const struct alarms *alarms, uint32_t id);
int64_t alarms_next_ns(const struct alarms *alarms);

/* Takes the first alarm that is due; ALARMS_NONE: none is. */
uint32_t alarms_pop(struct alarms *alarms, int64_t now_ns);
