/* ring_queue: the events of a ring that wait for ring_next, first in, first out. For engines only.
 *
 * Threads  The ring's own.
 * Memory   A circle on the heap, which grows when more sockets wake in one turn than ever before,
 *          and shrinks again when they have been served.
 * Bounds   By its ring: each watch has one event, each slot two watches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"

struct ring_queue {
    struct ring_event *events; /* a circle of `size` (a power of two); head and tail only grow */
    uint32_t size;
    uint32_t head;
    uint32_t tail;
};

/* Returns 0 or -ENOMEM. */
int ring_queue_init(struct ring_queue *queue);

/* Also of one that was not made. */
void ring_queue_done(struct ring_queue *queue);

void ring_queue_push(struct ring_queue *queue, enum ring_event_kind kind, uint32_t slot,
                     int32_t res);

/* Returns false when there is none. */
bool ring_queue_pop(struct ring_queue *queue, struct ring_event *event);

static inline uint32_t ring_queue_count(const struct ring_queue *queue)
{
    return queue->tail - queue->head;
}
