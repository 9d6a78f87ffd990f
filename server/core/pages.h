/* pages: a table that never moves and takes memory only where it is used.
 *
 * The whole bound is reserved as address space; the kernel gives a page when it is first written.
 *
 * Threads  Any.
 * Memory   The caller's, until pages_unmap.
 * Bounds   The caller's. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <sys/mman.h>

static_assert(
    sizeof(void *) == 8,
    "each table is reserved as address space for its whole bound, which may be terabytes: "
    "this needs a machine of 64 bits");

/* Zeroed. Returns NULL when address space is out. */
static inline void *pages_map(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* Accepts NULL. */
static inline void pages_unmap(void *map, size_t bytes)
{
    if (map)
        munmap(map, bytes);
}
