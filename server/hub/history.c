#include "hub/history.h"
#include "core/message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    RING_MIN = 4
};

uint64_t history_cost(const struct message *message)
{
    return sizeof *message + message_bytes(message);
}

int history_reserve(struct history *history)
{
    if (history->count < history->capacity)
        return 0;
    uint32_t capacity = history->capacity ? 2 * history->capacity : RING_MIN;
    struct message **ring = malloc(capacity * sizeof(struct message *));
    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < history->count; i++)
        ring[i] = history_at(history, i);
    free(history->ring);
    history->ring = ring;
    history->head = 0;
    history->capacity = capacity;
    return 0;
}

void history_append(struct history *history, struct message *message)
{
    assert(history->count < history->capacity);
    history->ring[(history->head + history->count) & (history->capacity - 1)] =
        message_ref(message);
    history->count++;
    history->bytes += history_cost(message);
}

void history_drop(struct history *history)
{
    struct message *oldest = history_at(history, 0);
    history->bytes -= history_cost(oldest);
    history->head = (history->head + 1) & (history->capacity - 1);
    history->count--;
    message_unref(oldest);
}

struct message *history_at(const struct history *history, uint32_t index)
{
    assert(index < history->count);
    return history->ring[(history->head + index) & (history->capacity - 1)];
}

void history_done(struct history *history)
{
    while (history->count > 0)
        history_drop(history);
    free(history->ring);
    *history = (struct history){0};
}
