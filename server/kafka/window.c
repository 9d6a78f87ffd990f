#include "kafka/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    WINDOW_MIN = 64,
};

static struct window_entry *entry_at(struct window *window, uint32_t number)
{
    return &window->entries[number & (window->capacity - 1)];
}

static int grow(struct window *window)
{
    uint32_t capacity = window->capacity ? 2 * window->capacity : (uint32_t)WINDOW_MIN;
    struct window_entry *entries = malloc(capacity * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    for (uint32_t number = window->head; number != window->end; number++)
        entries[number & (capacity - 1)] = *entry_at(window, number);
    free(window->entries);
    window->entries = entries;
    window->capacity = capacity;
    return 0;
}

int window_push(struct window *window, void *record, int64_t offset, uint32_t bytes)
{
    if (window_count(window) == window->capacity) {
        int err = grow(window);
        if (err < 0)
            return err;
    }
    *entry_at(window, window->end++) = (struct window_entry){record, offset, bytes, WINDOW_WAITS};
    return 0;
}

struct window_entry *window_next(struct window *window, uint32_t *ret_number)
{
    while (window->next != window->end && entry_at(window, window->next)->state == WINDOW_DONE)
        window->next++;
    *ret_number = window->next;
    return window->next == window->end ? NULL : entry_at(window, window->next);
}

void window_sent(struct window *window)
{
    entry_at(window, window->next++)->state = WINDOW_SENT;
    window->sent++;
}

void window_skip(struct window *window)
{
    entry_at(window, window->next++)->state = WINDOW_DONE;
}

struct window_entry *window_at(struct window *window, uint32_t number)
{
    assert(number - window->head < window_count(window));
    struct window_entry *entry = entry_at(window, number);
    assert(entry->state == WINDOW_SENT);
    return entry;
}

bool window_answered(struct window *window, uint32_t number, bool done)
{
    window_at(window, number)->state = done ? WINDOW_DONE : WINDOW_WAITS;
    window->sent--;
    window->is_broken |= !done;
    return window->is_broken && window->sent == 0;
}

void window_again(struct window *window)
{
    assert(window->sent == 0);
    window->next = window->head;
    window->is_broken = false;
}

uint32_t window_retire(struct window *window, int64_t *ret_offset)
{
    uint32_t count = 0;
    for (; window->head != window->next && entry_at(window, window->head)->state == WINDOW_DONE;
         count++)
        *ret_offset = entry_at(window, window->head++)->offset;
    return count;
}

bool window_drop(struct window *window, struct window_entry *ret)
{
    if (window->head == window->end)
        return false;
    *ret = *entry_at(window, window->head);
    if (window->next == window->head)
        window->next++;
    window->head++;
    return true;
}

void window_done(struct window *window)
{
    free(window->entries);
    *window = (struct window){0};
}
