/* block: memory in which a shard's frames are laid one behind another, freed when nobody needs any.
 *
 *   ┌──────┬───────┬───────┬────────┐
 *   │ head │ frame │ frame │ free   │   Frames of one channel and turn lie side by side, so a
 *   └──────┴───────┴───────┴────────┘   socket that gets several of them gets one run of bytes.
 *
 *   what is still there when its turn is over waits for a full socket: it is copied to a block of
 *   its own (blocks_keep), unless it is most of the one in which it lies
 *
 * Threads  The shard's; references are not atomic.
 * Memory   A frame is a run inside a block. Whoever keeps one past the present call takes a
 *          reference on the block.
 * Bounds   BLOCK_BYTES, or the frame's size where that is larger, up to BLOCK_BYTES_MAX. Who may
 *          hold how much is the send queue's affair. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct block {
    uint32_t refs;
    uint32_t used;
    uint32_t size;
    char bytes[];
};

enum {
    BLOCK_BYTES = 64 * 1024 - sizeof(struct block), /* with its head, what an allocator has */
    BLOCK_BYTES_MAX = INT32_MAX - UINT16_MAX,       /* of a frame: what Linux takes in one send */
};

struct frame {
    struct block *block;
    uint32_t at;
    uint32_t len;
};

/* Hands out space for frames: the current block, and what all blocks together take. */
struct blocks {
    struct block *current;
    struct frame last, copied; /* what blocks_keep copied last, and where */
    size_t bytes;              /* in all blocks not yet freed */
};

/* Room for `size` bytes at the end of the current block, or of a new one. Valid until the next
 * call. NULL when memory is out, or for more than BLOCK_BYTES_MAX. */
char *blocks_reserve(struct blocks *blocks, size_t size);

/* Makes a frame of the first `len` bytes of what blocks_reserve gave last. It stays valid until the
 * next reserve unless a reference is taken on its block. */
struct frame blocks_commit(struct blocks *blocks, size_t len);

/* Reserve, copy, commit. Without a block when memory is out. */
struct frame blocks_copy(struct blocks *blocks, const void *bytes, size_t len);

/* What a part of a block keeps as long as somebody refers to it: itself, if it is at least half of
 * the block, and else all of it. */
static inline uint64_t block_keeps(const struct block *block, uint32_t len)
{
    uint64_t whole = sizeof *block + block->size;
    return 2 * (uint64_t)len >= whole ? len : whole;
}

/* Where to leave a frame that is to wait for long. One that is less than half of its block would
 * keep that, with all that went to others, so it is copied to one of its own; once, however many
 * wait for the same. Valid until blocks_keep_end, unless a reference is taken. Where memory is out
 * it is the frame itself. */
struct frame blocks_keep(struct blocks *blocks, struct frame frame);

/* Forgets what was copied last. */
void blocks_keep_end(struct blocks *blocks);

static inline void block_ref(struct block *block)
{
    block->refs++;
}

void block_unref(struct blocks *blocks, struct block *block);

/* Gives up the current blocks. Frames that are still referenced live on. */
void blocks_done(struct blocks *blocks);

static inline char *frame_bytes(struct frame frame)
{
    return frame.block->bytes + frame.at;
}
