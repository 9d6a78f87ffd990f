/* block: memory in which a shard's frames are laid one behind another, freed when nobody needs any.
 *
 *   ┌──────┬───────┬───────┬────────┐
 *   │ head │ frame │ frame │ free   │   Frames of one channel and turn lie side by side, so a
 *   └──────┴───────┴───────┴────────┘   socket that gets several of them gets one run of bytes.
 *
 * Threads  The shard's; references are not atomic.
 * Memory   A frame is a run inside a block. Whoever keeps one past the present call takes a
 *          reference on the block.
 * Bounds   BLOCK_BYTES, or the frame's size where that is larger, up to BLOCK_BYTES_MAX. Who may
 *          hold how much is the send queue's affair. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK_BYTES = 64 * 1024,
    BLOCK_BYTES_MAX = INT32_MAX - UINT16_MAX, /* of a frame: what Linux takes in one send */
};

struct block {
    uint32_t refs;
    uint32_t used;
    uint32_t size;
    char bytes[];
};

struct frame {
    struct block *block;
    uint32_t at;
    uint32_t len;
};

/* Hands out space for frames: the current block, and what all blocks together take. */
struct blocks {
    struct block *current;
    size_t bytes; /* in all blocks not yet freed */
};

/* Room for `size` bytes at the end of the current block, or of a new one. Valid until the next
 * call. NULL when memory is out, or for more than BLOCK_BYTES_MAX: for what may be as large as
 * all messages of a turn are. */
char *blocks_try(struct blocks *blocks, size_t size);

/* The same for what is small and owed: never NULL, the process ends instead. */
char *blocks_reserve(struct blocks *blocks, size_t size);

/* Makes a frame of the first `len` bytes of what one of these gave last. It stays valid until the
 * next reserve unless a reference is taken on its block. */
struct frame blocks_commit(struct blocks *blocks, size_t len);

/* Reserve, copy, commit. */
struct frame blocks_copy(struct blocks *blocks, const void *bytes, size_t len);

static inline void block_ref(struct block *block)
{
    block->refs++;
}

void block_unref(struct blocks *blocks, struct block *block);

/* Gives up the current block. Frames that are still referenced live on. */
void blocks_done(struct blocks *blocks);

static inline char *frame_bytes(struct frame frame)
{
    return frame.block->bytes + frame.at;
}
