#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/pages.h"

enum {
    PAGE_BYTES = 4096,
    BASE_BYTES = 3 * PAGE_BYTES,
    CELL_BYTES = 4 * PAGE_BYTES,
    ALIGNMENT = 16,
    HEAD_BYTES = 1536,                   /* of a large block, in its first page */
    GAP_BYTES = PAGE_BYTES - HEAD_BYTES, /* in front of it */
    LISTS = 16,                          /* of small blocks that were given back, by size */
    LOOKS = 8,                           /* at so many of a list */
    GAP_MIN = 64,                        /* less is left alone */
};
#define REGION_BYTES ((size_t)ARENA_REGION * ARENA_BYTES)

/* Before each block, which begins at a multiple of 16; and at the beginning of a gap. */
struct block {
    uint32_t bytes; /* with this */
    uint32_t next;  /* of a gap or what was given back: the next one's offset, or 0 */
};

/* At the beginning of an arena. Everything is an offset there. */
struct arena {
    uint32_t gaps;          /* where small blocks are cut from: the lowest first */
    uint16_t taken, opened; /* cells: they have a block; their first page has a gap, or had */
    uint16_t touched;       /* cells with pages, an owner's before among them */
    uint32_t free[LISTS];
};

static_assert(sizeof(struct block) == ARENA_HEAD_BYTES, "a block begins 8 bytes behind");
static_assert(BASE_BYTES + ARENA_CELLS * CELL_BYTES == ARENA_BYTES, "all is base or a cell");
static_assert(ARENA_LARGE_MAX + ALIGNMENT + ARENA_HEAD_BYTES <= CELL_BYTES - GAP_BYTES,
              "a large block lies in its cell");

static struct block *at(const struct arena *arena, uint32_t offset)
{
    return (struct block *)((uintptr_t)arena + offset);
}

static struct block *block_of(const void *memory)
{
    return (struct block *)((uintptr_t)memory - sizeof(struct block));
}

static uint32_t offset_of(const struct arena *arena, const struct block *block)
{
    return (uint32_t)((uintptr_t)block - (uintptr_t)arena);
}

/* The nearest place from there where a block may begin. */
static uint32_t place(uint32_t offset)
{
    return (offset + ARENA_HEAD_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - ARENA_HEAD_BYTES;
}

static uint32_t cell_at(unsigned cell)
{
    return BASE_BYTES + cell * (uint32_t)CELL_BYTES;
}

/* ---- pools ---- */

static int region_add(struct arenas *arenas)
{
    uint32_t count = arenas->region_count + 1;
    void **regions = realloc(arenas->regions, count * sizeof *regions);
    if (!regions)
        return -1;
    arenas->regions = regions;
    struct arena **cold = realloc(arenas->cold, (size_t)count * ARENA_REGION * sizeof *cold);
    if (!cold)
        return -1;
    arenas->cold = cold;
    uint8_t *map = pages_map(REGION_BYTES);
    if (!map)
        return -1;
    madvise(map, REGION_BYTES, MADV_NOHUGEPAGE); /* such a one would be there whole */
    arenas->regions[arenas->region_count++] = map;
    for (unsigned i = ARENA_REGION; i-- > 0;)
        arenas->cold[arenas->cold_count++] = (void *)(map + (size_t)i * ARENA_BYTES);
    return 0;
}

void arenas_done(struct arenas *arenas)
{
    for (uint32_t i = 0; i < arenas->region_count; i++)
        pages_unmap(arenas->regions[i], REGION_BYTES);
    free(arenas->regions);
    free(arenas->cold);
    *arenas = (struct arenas){0};
}

/* In order. */
static void gap_add(struct arena *arena, uint32_t from, uint32_t to)
{
    uint32_t *link = &arena->gaps;
    if (to < from + GAP_MIN)
        return;
    while (*link != 0 && *link < from)
        link = &at(arena, *link)->next;
    *at(arena, from) = (struct block){to - from, *link};
    *link = from;
}

struct arena *arena_get(struct arenas *arenas)
{
    if (arenas->warm_count + arenas->cold_count == 0 && region_add(arenas) < 0)
        return NULL;
    struct arena *arena = arenas->warm_count > 0 ? arenas->warm[--arenas->warm_count]
                                                 : arenas->cold[--arenas->cold_count];
    *arena = (struct arena){.touched = arena->touched};
    gap_add(arena, place(sizeof *arena), BASE_BYTES);
    return arena;
}

void arena_put(struct arenas *arenas, struct arena *arena)
{
    if (!arena)
        return;
    if (arenas->warm_count < ARENAS_WARM) {
        arenas->warm[arenas->warm_count++] = arena;
        return;
    }
    madvise(arena, ARENA_BYTES, MADV_DONTNEED);
    arenas->cold[arenas->cold_count++] = arena;
}

/* ---- blocks ---- */

static uint32_t *list_of(struct arena *arena, uint32_t bytes)
{
    return &arena->free[bytes / ALIGNMENT % LISTS];
}

static struct block *take_again(struct arena *arena, uint32_t bytes)
{
    uint32_t *link = list_of(arena, bytes);
    for (unsigned i = 0; *link != 0 && i < LOOKS; i++) {
        struct block *block = at(arena, *link);
        if (block->bytes == bytes) {
            *link = block->next;
            return block;
        }
        link = &block->next;
    }
    return NULL;
}

/* From the beginning of the lowest that has as much. */
static struct block *take_from_gap(struct arena *arena, uint32_t bytes)
{
    for (uint32_t *link = &arena->gaps; *link != 0; link = &at(arena, *link)->next) {
        uint32_t from = *link;
        struct block *block = at(arena, from);
        if (block->bytes < bytes)
            continue;
        uint32_t to = from + block->bytes;
        *link = block->next;
        gap_add(arena, from + bytes, to);
        return block;
    }
    return NULL;
}

static void cell_open(struct arena *arena, unsigned cell)
{
    if (arena->opened >> cell & 1)
        return;
    arena->opened |= (uint16_t)(1U << cell);
    arena->touched |= arena->opened;
    gap_add(arena, place(cell_at(cell)), cell_at(cell) + GAP_BYTES);
}

/* The lowest cell that is not in `cells`; ARENA_CELLS: there is none. */
static unsigned lowest_without(uint16_t cells)
{
    return (unsigned)__builtin_ctz(~(uint32_t)cells);
}

static struct block *take_large(struct arena *arena, uint32_t bytes)
{
    unsigned cell = lowest_without(arena->taken);
    if (cell >= ARENA_CELLS || bytes > CELL_BYTES - GAP_BYTES - ALIGNMENT)
        return NULL;
    arena->taken |= (uint16_t)(1U << cell);
    cell_open(arena, cell);
    return at(arena, place(cell_at(cell) + GAP_BYTES));
}

static struct block *take_small(struct arena *arena, uint32_t bytes)
{
    struct block *block = take_again(arena, bytes);
    if (!block)
        block = take_from_gap(arena, bytes);
    unsigned cell = lowest_without(arena->opened);
    if (block || cell >= ARENA_CELLS)
        return block;
    cell_open(arena, cell);
    return take_from_gap(arena, bytes);
}

static bool is_small(uint32_t bytes)
{
    return bytes <= GAP_BYTES - ALIGNMENT;
}

void *arena_take(struct arena *arena, size_t size, bool dense)
{
    if (size > ARENA_LARGE_MAX)
        return NULL;
    uint32_t bytes = ((uint32_t)size + ARENA_HEAD_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *block = is_small(bytes) ? take_small(arena, bytes)
                          : dense         ? take_from_gap(arena, bytes)
                                          : take_large(arena, bytes);
    if (!block)
        return NULL;
    *block = (struct block){.bytes = bytes};
    return block + 1;
}

void arena_give(struct arena *arena, void *memory)
{
    struct block *block = block_of(memory);
    uint32_t offset = offset_of(arena, block);
    assert(arena_has(arena, memory));
    if (is_small(block->bytes)) {
        uint32_t *list = list_of(arena, block->bytes);
        block->next = *list;
        *list = offset;
    } else if (offset >= BASE_BYTES) {
        arena->taken &= (uint16_t) ~(1U << (offset - BASE_BYTES) / CELL_BYTES);
    }
}

bool arena_has(const struct arena *arena, const void *memory)
{
    return (uintptr_t)memory - (uintptr_t)arena < ARENA_BYTES;
}

size_t arena_block_bytes(const void *memory)
{
    return block_of(memory)->bytes;
}

/* ---- pages that are not needed any more ---- */

/* The gap of a cell in which there is nothing; NULL: there is something. */
static uint32_t *whole_gap(struct arena *arena, unsigned cell)
{
    uint32_t from = place(cell_at(cell));
    for (uint32_t *link = &arena->gaps; *link != 0; link = &at(arena, *link)->next) {
        if (*link == from)
            return from + at(arena, from)->bytes == cell_at(cell) + GAP_BYTES ? link : NULL;
    }
    return NULL;
}

/* Returns whether nothing is in it: then it is as if it had not been opened. */
static bool cell_close(struct arena *arena, unsigned cell)
{
    if (!(arena->opened >> cell & 1))
        return true;
    uint32_t *gap = arena->taken >> cell & 1 ? NULL : whole_gap(arena, cell);
    if (!gap)
        return false;
    *gap = at(arena, *gap)->next;
    arena->opened &= (uint16_t) ~(1U << cell);
    return true;
}

void arena_trim(struct arena *arena)
{
    for (unsigned cell = 0; cell < ARENA_CELLS; cell++) {
        if (!(arena->touched >> cell & 1) || !cell_close(arena, cell))
            continue;
        arena->touched &= (uint16_t) ~(1U << cell);
        madvise(at(arena, cell_at(cell)), CELL_BYTES, MADV_DONTNEED);
    }
}
