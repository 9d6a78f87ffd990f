#include "conn/send_queue.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PLACES_MIN = 4,
};

uint64_t queue_bytes(const struct send_queue *queue)
{
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < SEND_KINDS; kind++)
        sum += queue->bytes[kind];
    return sum;
}

/* Returns 0 or -ENOMEM; then all is as before. */
static int resize(struct send_queue *queue, uint32_t size)
{
    struct queued_frame *frames = malloc(size * sizeof *frames);
    if (!frames)
        return -ENOMEM;
    for (uint32_t i = 0; i < queue->count; i++)
        frames[i] = *queue_at(queue, i);
    free(queue->frames);
    queue->frames = frames;
    queue->size = size;
    queue->head = 0;
    return 0;
}

/* Returns 0 or -ENOMEM. */
static int reserve_place(struct send_queue *queue)
{
    if (queue->count < queue->size)
        return 0;
    return resize(queue, queue->size ? queue->size * 2 : PLACES_MIN);
}

/* A queue that was long is not kept so by a short one. */
static void give_places_back(struct send_queue *queue)
{
    if (queue->count == 0) {
        free(queue->frames);
        queue->frames = NULL;
        queue->size = queue->head = 0;
        return;
    }
    uint32_t size = queue->size;
    while (size > PLACES_MIN && queue->count <= size / 4)
        size /= 2;
    if (size < queue->size)
        (void)resize(queue, size);
}

/* A frame came to be there, or went. */
static void count(struct send_queue *queue, const struct queued_frame *frame, bool came)
{
    uint64_t keeps = block_keeps(frame->block, frame->len);
    queue->bytes[frame->kind] += came ? frame->len : -(uint64_t)frame->len;
    queue->keeps += came ? keeps : -keeps;
}

static struct queued_frame *waiting_pong(const struct send_queue *queue)
{
    return queue->pong > 0 ? queue_at(queue, queue->pong - 1) : NULL;
}

int queue_push(struct send_queue *queue, struct blocks *blocks, const struct queued_frame *frame)
{
    struct queued_frame *pong = frame->kind == SEND_PONG ? waiting_pong(queue) : NULL;
    if (!pong && reserve_place(queue) < 0)
        return -ENOMEM;
    block_ref(frame->block);
    count(queue, frame, true);
    if (pong) {
        count(queue, pong, false);
        block_unref(blocks, pong->block);
        *pong = *frame;
        return 0;
    }
    *queue_at(queue, queue->count++) = *frame;
    if (frame->kind == SEND_PONG)
        queue->pong = queue->count;
    return 0;
}

int queue_put_back(struct send_queue *queue, const struct queued_frame *frame)
{
    if (reserve_place(queue) < 0)
        return -ENOMEM;
    queue->head = (queue->head - 1) & (queue->size - 1);
    queue->count++;
    *queue_at(queue, 0) = *frame;
    count(queue, frame, true);
    if (queue->pong > 0)
        queue->pong++;
    return 0;
}

struct queued_frame queue_take(struct send_queue *queue)
{
    const struct queued_frame first = *queue_at(queue, 0);
    count(queue, &first, false);
    queue->head = (queue->head + 1) & (queue->size - 1);
    queue->count--;
    if (queue->pong > 0)
        queue->pong--;
    give_places_back(queue);
    return first;
}

unsigned queue_drop_live(struct send_queue *queue, struct blocks *blocks, uint64_t bytes)
{
    uint32_t seen = 0, kept = 0, pong = queue->pong;
    unsigned dropped = 0;
    uint64_t gone = 0;
    for (; seen < queue->count && gone < bytes; seen++) {
        const struct queued_frame *frame = queue_at(queue, seen);
        if (frame->kind == SEND_LIVE) {
            gone += queue_cost(frame->len);
            dropped += frame->messages;
            count(queue, frame, false);
            block_unref(blocks, frame->block);
        } else {
            *queue_at(queue, kept++) = *frame;
            if (seen + 1 == queue->pong)
                pong = kept;
        }
    }
    if (queue->pong > seen)
        pong -= seen - kept;
    queue->pong = pong;
    for (uint32_t i = 1; i <= kept; i++)
        *queue_at(queue, seen - i) = *queue_at(queue, kept - i);
    queue->head = (queue->head + seen - kept) & (queue->size - 1);
    queue->count -= seen - kept;
    if (seen > kept)
        give_places_back(queue);
    return dropped;
}

void queue_keep(struct send_queue *queue, struct blocks *blocks)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        struct queued_frame *at = queue_at(queue, i);
        count(queue, at, false);
        queued_keep(at, blocks);
        count(queue, at, true);
    }
}

void queued_keep(struct queued_frame *frame, struct blocks *blocks)
{
    struct frame kept = blocks_keep(blocks, (struct frame){frame->block, frame->at, frame->len});
    block_ref(kept.block);
    block_unref(blocks, frame->block);
    frame->block = kept.block;
    frame->at = kept.at;
}

void queue_clear(struct send_queue *queue, struct blocks *blocks)
{
    while (queue->count > 0)
        block_unref(blocks, queue_take(queue).block);
}
