/* send_queue: frames that wait behind the line's run of a connection.
 *
 *   head ─► │ frame │ frame │ pong │ frame │ ◄─ tail      a circle of places; grows by doubling
 *
 * Threads  The shard's.
 * Memory   Holds a reference on the block of each frame. The places are on the heap as long as
 *          there is a frame; of four times as many as there are frames, half are given back.
 * Bounds   The caller's, by kind: outbound.c. One pong waits, the newest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"

/* Why a frame is sent, and so what becomes of it when the socket is full. */
enum send_kind {
    SEND_CONTROL, /* of the transport itself: its stream would be out of step without. What waits of
                     these is at most CONTROL_BYTES_MAX; more closes the connection */
    SEND_PONG,    /* the same, but that only the newest is owed (RFC 6455 section 5.5.3): it takes
                     the place of one that waits */
    SEND_ANSWER,  /* asked for. While it waits the client is not listened to, and it owes no more
                     than it has asked for */
    SEND_REPLAY,  /* a part of what a position brings: the next one is made when it has left */
    SEND_LIVE,    /* a message: for a reader that is behind, slow_reader applies */
    SEND_KINDS,
};

/* A frame that waits in a queue. */
struct queued_frame {
    struct block *block;
    uint32_t at, len;
    uint32_t messages;
    uint8_t kind; /* enum send_kind */
};

struct send_queue {
    struct queued_frame *frames;
    uint32_t head;
    uint32_t count;
    uint32_t size;
    uint32_t pong;              /* 1 + the place of the pong that waits; 0: none */
    uint64_t bytes[SEND_KINDS]; /* of the frames of each kind */
    uint64_t keeps;             /* what the frames keep of their blocks: block_keeps */
};

static inline struct queued_frame *queue_at(const struct send_queue *queue, uint32_t index)
{
    return &queue->frames[(queue->head + index) & (queue->size - 1)];
}

/* Bytes of all frames. */
uint64_t queue_bytes(const struct send_queue *queue);

/* What the places of all frames take. With many small ones that is most of what they cost. */
static inline uint64_t queue_places(const struct send_queue *queue)
{
    return (uint64_t)queue->count * sizeof(struct queued_frame);
}

/* What the places take, the free ones too. */
static inline uint64_t queue_room(const struct send_queue *queue)
{
    return (uint64_t)queue->size * sizeof(struct queued_frame);
}

/* What a frame costs as long as it waits. */
static inline uint64_t queue_cost(uint32_t len)
{
    return (uint64_t)len + sizeof(struct queued_frame);
}

/* Adds a frame at the end; a pong takes the place of the one that waits. Takes a reference. Returns
 * 0 or -ENOMEM. */
int queue_push(struct send_queue *queue, struct blocks *blocks, const struct queued_frame *frame);

/* Puts a frame in front of all others. The reference moves to the queue. Returns 0 or -ENOMEM. */
int queue_put_back(struct send_queue *queue, const struct queued_frame *frame);

/* Takes the first frame out. The reference moves to the caller. */
struct queued_frame queue_take(struct send_queue *queue);

/* Takes live messages out, oldest first, until `bytes` are gone or there are none. Returns how many
 * messages went. Costs what goes, and not what stays: a full queue pays this for every message. */
unsigned queue_drop_live(struct send_queue *queue, struct blocks *blocks, uint64_t bytes);

/* What waits from now on is left where it keeps no more than itself. */
void queue_keep(struct send_queue *queue, struct blocks *blocks);
/* The same for one that is in no queue; its reference moves along. */
void queued_keep(struct queued_frame *frame, struct blocks *blocks);

/* Releases all frames. */
void queue_clear(struct send_queue *queue, struct blocks *blocks);
