/* arena: the memory of one owner whose blocks are large and stay nearly empty.
 *
 *   base: dense and small │ cell                        │ cell ...
 *                         │ small small ... │ head │ page │ page of its tail │ page │
 *                                           └───── a large block ───────┘
 *
 * Idea     A library that makes pools touches the beginning of each and no more: 17 of 113 KB. A
 *          page of which a byte was touched is there whole. So each large block begins near the end
 *          of a page, of which small blocks have the beginning, and pages behind that are there
 *          when somebody writes to them, and not before. What is lowest is taken first, so that a
 *          beginning with many blocks leaves whole cells behind, which arena_trim gives back.
 * Threads  That of the pool.
 * Memory   Address space, ARENA_BYTES each, that is reserved for ARENA_REGION of them at a time and
 *          stays so until arenas_done. The pages of an arena that is put back go to the kernel, but
 *          for the last few, which the next owner finds as they are.
 * Bounds   ARENA_CELLS large blocks, of ARENA_LARGE_MAX bytes at most, and what small ones fit
 *          besides: then it says NULL, and the owner asks elsewhere. A small block that was given
 *          back serves for the same size again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARENA_CELLS = 15,
    ARENA_BYTES = 252 * 1024,
    ARENA_LARGE_MAX = 13800,
    ARENA_HEAD_BYTES = 8, /* of a block, which is counted with it */
    ARENA_REGION = 64,    /* reserved at once: 16 MiB */
    ARENAS_WARM = 32,     /* idle ones that keep their pages */
};

struct arena;

struct arenas {
    void **regions;
    struct arena **cold; /* without pages */
    struct arena *warm[ARENAS_WARM];
    uint32_t region_count, cold_count, warm_count;
};

/* A pool is zeros at first. Its arenas are gone then, whoever has them. */
void arenas_done(struct arenas *arenas);

/* An empty one; NULL: there is no address space. */
struct arena *arena_get(struct arenas *arenas);
/* With all that is in it. Accepts NULL. */
void arena_put(struct arenas *arenas, struct arena *arena);

/* What is to be written in whole is `dense`: it lies in the base, and is not given back before the
 * arena. Aligned as malloc does it. NULL: there is no room for it. */
void *arena_take(struct arena *arena, size_t size, bool dense);
void arena_give(struct arena *arena, void *memory);
/* Whether it is from there. */
bool arena_has(const struct arena *arena, const void *memory);
/* What a block takes: at least what was asked for. */
size_t arena_block_bytes(const void *memory);

/* Gives the pages of cells without a block to the kernel, those that an owner before has left there
 * too. A call of it for each. */
void arena_trim(struct arena *arena);
