/* timers: one deadline per element of an array, in a hashed wheel.
 *
 *   bucket[tick % TIMERS_BUCKETS] ─► element ⇄ element ⇄ …    links are indices inside the
 *                                                             elements: 12 bytes each
 * Threads  The owner's.
 * Memory   The wheel holds heads only. Elements live in the caller's array, which must not move.
 * Bounds   A tick is TIMERS_TICK_NS. A deadline further away than the wheel is long stays in its
 *          bucket for another round.
 * Cost     arm and cancel are O(1); advancing costs the elements that are due, plus those of later
 *          rounds in their bucket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIMERS_BUCKETS = 512,
};
#define TIMERS_TICK_NS INT64_C(100000000)
#define TIMERS_NONE    UINT32_MAX

struct timer_link {
    uint32_t next;
    uint32_t previous;
    uint32_t deadline; /* tick, or TIMERS_NONE when not armed */
};

struct timers {
    char *elements; /* the array */
    size_t stride;  /* bytes from one element to the next */
    size_t link_at; /* bytes from an element to its struct timer_link */
    uint32_t now;   /* tick up to which everything has fired */
    uint32_t armed;
    uint32_t firing; /* the next element of the bucket being fired */
    uint32_t bucket[TIMERS_BUCKETS];
    uint64_t used[TIMERS_BUCKETS / 64]; /* which buckets have elements */
};

void timers_init(struct timers *timers, void *elements, size_t stride, size_t link_at,
                 int64_t now_ns);

/* Before an element's first use. */
void timer_link_init(struct timer_link *link);

/* Sets the element's deadline, replacing an earlier one. Rounds up to the next tick, so never fires
 * early. */
void timers_arm(struct timers *timers, uint32_t element, int64_t deadline_ns);
void timers_cancel(struct timers *timers, uint32_t element);

/* The element's deadline, or 0 when it has none. */
int64_t timers_deadline_ns(const struct timers *timers, uint32_t element);

/* Calls `fire` for every element that is due; it may arm and cancel any element. A fired element is
 * no longer armed. Ends behind the tick in which `most` were reached, so that what fires late does
 * not all fire at once; returns whether there are ticks left. */
bool timers_advance(struct timers *timers, int64_t now_ns, uint32_t most,
                    void (*fire)(void *context, uint32_t element), void *context);

/* Nanoseconds from now_ns until something may be due, at most `max_ns`. */
int64_t timers_wait_ns(const struct timers *timers, int64_t now_ns, int64_t max_ns);
