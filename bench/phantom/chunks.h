/* chunks: bytes that connections hold for a moment, in blocks of one size from one pool.
 *
 *   queue.first ─► chunk ─► chunk ─► chunk ◄─ queue.last     bytes in order; taken from the front,
 *                                                            put behind the end
 * Threads  the owner's.
 * Memory   one mapping, touched as far as it was ever needed; blocks go out last in, first out.
 * Bounds   the count given at creation. Who cannot have one is told so. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_NONE UINT32_MAX

enum {
    CHUNK_BYTES = 2036, /* with its head 2,048 */
};

struct chunk {
    uint32_t next;
    uint32_t len; /* bytes[from … from + len) */
    uint32_t from;
    char bytes[CHUNK_BYTES];
};
static_assert(sizeof(struct chunk) == 2048, "a chunk is half a page");

struct chunks {
    struct chunk *area;
    uint32_t count;
    uint32_t used;
    uint32_t fresh; /* those from here on were never handed out */
    uint32_t free;
};

struct chunk_queue {
    uint32_t first, last;
    uint32_t bytes;
};
#define CHUNK_QUEUE_EMPTY ((struct chunk_queue){CHUNK_NONE, CHUNK_NONE, 0})

/* Returns 0 or -ENOMEM. */
int chunks_init(struct chunks *chunks, uint32_t count);
void chunks_done(struct chunks *chunks);

/* Returns CHUNK_NONE when all are taken. */
uint32_t chunk_take(struct chunks *chunks);
void chunk_give(struct chunks *chunks, uint32_t index);

static inline struct chunk *chunk_at(const struct chunks *chunks, uint32_t index)
{
    return &chunks->area[index];
}

/* Puts all of the bytes behind the end. Returns false when there are not enough chunks: then all is
 * as before. */
bool chunk_queue_put(struct chunks *chunks, struct chunk_queue *queue, const char *bytes,
                     size_t len);

/* Takes at most so many bytes from the front, into `out` unless that is NULL. Returns how many. */
size_t chunk_queue_take(struct chunks *chunks, struct chunk_queue *queue, char *out, size_t len);

/* Moves all of `from` behind the end of `to`. */
void chunk_queue_move(struct chunks *chunks, struct chunk_queue *to, struct chunk_queue *from);

void chunk_queue_clear(struct chunks *chunks, struct chunk_queue *queue);
