#include "core/block.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct block *block_create(struct blocks *blocks, size_t size)
{
    struct block *block = size <= BLOCK_BYTES_MAX ? malloc(sizeof *block + size) : NULL;
    if (!block)
        return NULL;
    *block = (struct block){.refs = 1, .size = (uint32_t)size};
    blocks->bytes += sizeof *block + size;
    return block;
}

void block_unref(struct blocks *blocks, struct block *block)
{
    assert(block->refs > 0);
    if (--block->refs > 0)
        return;
    blocks->bytes -= sizeof *block + block->size;
    free(block);
}

char *blocks_reserve(struct blocks *blocks, size_t size)
{
    struct block *block = blocks->current;
    /* Nobody holds a frame of it any more: start again at its beginning, while it is warm in the
     * cache. */
    if (block && block->refs == 1) {
        block->used = 0;
        if (block->size > BLOCK_BYTES) {
            block_unref(blocks, block);
            block = blocks->current = NULL;
        }
    }
    if (!block || block->size - block->used < size) {
        block = block_create(blocks, size > BLOCK_BYTES ? size : BLOCK_BYTES);
        if (!block)
            return NULL;
        if (blocks->current)
            block_unref(blocks, blocks->current);
        blocks->current = block;
    }
    return block->bytes + block->used;
}

static struct frame commit(struct block *block, size_t len)
{
    assert(block && block->size - block->used >= len);
    struct frame frame = {block, block->used, (uint32_t)len};
    block->used += (uint32_t)len;
    return frame;
}

struct frame blocks_commit(struct blocks *blocks, size_t len)
{
    return commit(blocks->current, len);
}

struct frame blocks_copy(struct blocks *blocks, const void *bytes, size_t len)
{
    char *room = blocks_reserve(blocks, len);
    if (!room)
        return (struct frame){0};
    memcpy(room, bytes, len);
    return blocks_commit(blocks, len);
}

static bool same(struct frame one, struct frame other)
{
    return one.block == other.block && one.at == other.at && one.len == other.len;
}

struct frame blocks_keep(struct blocks *blocks, struct frame frame)
{
    if (2 * (uint64_t)frame.len >= frame.block->size)
        return frame;
    if (same(frame, blocks->last))
        return blocks->copied;
    struct block *own = block_create(blocks, frame.len);
    if (!own)
        return frame;
    memcpy(own->bytes, frame_bytes(frame), frame.len);
    blocks_keep_end(blocks);
    blocks->last = frame;
    block_ref(frame.block);
    blocks->copied = commit(own, frame.len);
    return blocks->copied;
}

void blocks_keep_end(struct blocks *blocks)
{
    if (!blocks->last.block)
        return;
    block_unref(blocks, blocks->last.block);
    block_unref(blocks, blocks->copied.block);
    blocks->last = blocks->copied = (struct frame){0};
}

void blocks_done(struct blocks *blocks)
{
    blocks_keep_end(blocks);
    if (blocks->current)
        block_unref(blocks, blocks->current);
    blocks->current = NULL;
}
