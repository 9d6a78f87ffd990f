#include "phantom/chunks.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/pages.h"

int chunks_init(struct chunks *chunks, uint32_t count)
{
    *chunks = (struct chunks){.count = count, .free = CHUNK_NONE};
    chunks->area = pages_map(count * sizeof *chunks->area);
    return chunks->area ? 0 : -ENOMEM;
}

void chunks_done(struct chunks *chunks)
{
    pages_unmap(chunks->area, chunks->count * sizeof *chunks->area);
    *chunks = (struct chunks){0};
}

uint32_t chunk_take(struct chunks *chunks)
{
    uint32_t index = chunks->free;
    if (index != CHUNK_NONE)
        chunks->free = chunks->area[index].next;
    else if (chunks->fresh < chunks->count)
        index = chunks->fresh++;
    else
        return CHUNK_NONE;
    chunks->used++;
    struct chunk *chunk = &chunks->area[index];
    chunk->next = CHUNK_NONE;
    chunk->len = chunk->from = 0;
    return index;
}

void chunk_give(struct chunks *chunks, uint32_t index)
{
    assert(index < chunks->fresh && chunks->used > 0);
    chunks->area[index].next = chunks->free;
    chunks->free = index;
    chunks->used--;
}

static uint32_t room_behind(const struct chunks *chunks, const struct chunk_queue *queue)
{
    if (queue->last == CHUNK_NONE)
        return 0;
    const struct chunk *last = chunk_at(chunks, queue->last);
    return CHUNK_BYTES - last->from - last->len;
}

static void append(struct chunks *chunks, struct chunk_queue *queue)
{
    uint32_t index = chunk_take(chunks);
    assert(index != CHUNK_NONE); /* chunk_queue_put has looked */
    if (queue->last == CHUNK_NONE)
        queue->first = index;
    else
        chunk_at(chunks, queue->last)->next = index;
    queue->last = index;
}

bool chunk_queue_put(struct chunks *chunks, struct chunk_queue *queue, const char *bytes,
                     size_t len)
{
    uint32_t room = room_behind(chunks, queue);
    size_t more = len > room ? (len - room + CHUNK_BYTES - 1) / CHUNK_BYTES : 0;
    if (more > chunks->count - chunks->used)
        return false;
    queue->bytes += (uint32_t)len;
    while (len > 0) {
        if (room == 0) {
            append(chunks, queue);
            room = CHUNK_BYTES;
        }
        struct chunk *last = chunk_at(chunks, queue->last);
        uint32_t count = len < room ? (uint32_t)len : room;
        memcpy(last->bytes + last->from + last->len, bytes, count);
        last->len += count;
        bytes += count;
        len -= count;
        room = 0;
    }
    return true;
}

size_t chunk_queue_take(struct chunks *chunks, struct chunk_queue *queue, char *out, size_t len)
{
    size_t taken = 0;
    while (taken < len && queue->first != CHUNK_NONE) {
        uint32_t index = queue->first;
        struct chunk *first = chunk_at(chunks, index);
        uint32_t count = len - taken < first->len ? (uint32_t)(len - taken) : first->len;
        if (out)
            memcpy(out + taken, first->bytes + first->from, count);
        taken += count;
        first->from += count;
        first->len -= count;
        if (first->len > 0)
            break;
        queue->first = first->next;
        if (queue->first == CHUNK_NONE)
            queue->last = CHUNK_NONE;
        chunk_give(chunks, index);
    }
    queue->bytes -= (uint32_t)taken;
    return taken;
}

void chunk_queue_move(struct chunks *chunks, struct chunk_queue *to, struct chunk_queue *from)
{
    if (from->first == CHUNK_NONE)
        return;
    if (to->last == CHUNK_NONE)
        to->first = from->first;
    else
        chunk_at(chunks, to->last)->next = from->first;
    to->last = from->last;
    to->bytes += from->bytes;
    *from = CHUNK_QUEUE_EMPTY;
}

void chunk_queue_clear(struct chunks *chunks, struct chunk_queue *queue)
{
    while (queue->first != CHUNK_NONE) {
        uint32_t index = queue->first;
        queue->first = chunk_at(chunks, index)->next;
        chunk_give(chunks, index);
    }
    *queue = CHUNK_QUEUE_EMPTY;
}
