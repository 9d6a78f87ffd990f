#include "core/ring_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    QUEUE_EVENTS_MIN = 1024,
    QUEUE_EVENTS_KEPT = 8192,
};

int ring_queue_init(struct ring_queue *queue)
{
    *queue = (struct ring_queue){
        .events = malloc(QUEUE_EVENTS_MIN * sizeof *queue->events),
        .size = QUEUE_EVENTS_MIN,
    };
    return queue->events ? 0 : -ENOMEM;
}

void ring_queue_done(struct ring_queue *queue)
{
    free(queue->events);
    *queue = (struct ring_queue){0};
}

/* Returns false when memory is out: then all is as before. */
static bool queue_resize(struct ring_queue *queue, uint32_t size)
{
    struct ring_event *events = malloc((size_t)size * sizeof *events);
    if (!events)
        return false;
    uint32_t count = ring_queue_count(queue);
    for (uint32_t i = 0; i < count; i++)
        events[i] = queue->events[(queue->head + i) & (queue->size - 1)];
    free(queue->events);
    *queue = (struct ring_queue){events, size, 0, count};
    return true;
}

void ring_queue_push(struct ring_queue *queue, enum ring_event_kind kind, uint32_t slot,
                     int32_t res)
{
    bool has_room = ring_queue_count(queue) < queue->size || queue_resize(queue, queue->size * 2);
    assert(has_room && "memory is out, and an event is owed");
    queue->events[queue->tail++ & (queue->size - 1)] = (struct ring_event){kind, slot, res};
}

bool ring_queue_pop(struct ring_queue *queue, struct ring_event *event)
{
    if (ring_queue_count(queue) == 0) {
        if (queue->size > QUEUE_EVENTS_KEPT)
            queue_resize(queue, QUEUE_EVENTS_KEPT);
        return false;
    }
    *event = queue->events[queue->head++ & (queue->size - 1)];
    return true;
}
