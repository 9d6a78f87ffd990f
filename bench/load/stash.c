#include "load/stash.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>

#include "core/pages.h"

int stashes_init(struct stashes *stashes, uint32_t count, size_t bytes_size)
{
    *stashes = (struct stashes){0};
    size_t stride = sizeof(struct stash) + bytes_size;
    stride = (stride + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    void *area = pages_map(stride * count);
    if (!area)
        return -ENOMEM;
    *stashes = (struct stashes){
        .area = area,
        .stride = stride,
        .bytes_size = bytes_size,
        .count = count,
        .free = STASH_NONE,
    };
    return 0;
}

void stashes_done(struct stashes *stashes)
{
    pages_unmap(stashes->area, stashes->stride * stashes->count);
    *stashes = (struct stashes){0};
}

uint32_t stash_take(struct stashes *stashes)
{
    uint32_t index = stashes->free;
    if (index != STASH_NONE)
        stashes->free = stash_at(stashes, index)->next;
    else if (stashes->fresh < stashes->count)
        index = stashes->fresh++;
    else
        return STASH_NONE;
    stashes->used++;
    return index;
}

void stash_give(struct stashes *stashes, uint32_t index)
{
    assert(index < stashes->fresh && stashes->used > 0);
    stash_at(stashes, index)->next = stashes->free;
    stashes->free = index;
    stashes->used--;
}
