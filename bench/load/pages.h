/* pages: zeros that cost memory where they are touched: for arrays of which little is used. */
#pragma once

#include <stddef.h>
#include <sys/mman.h>

/* Returns NULL when there is no room for the addresses. */
static inline void *pages_map(size_t size)
{
    void *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

/* Accepts NULL. */
static inline void pages_unmap(void *area, size_t size)
{
    if (area)
        munmap(area, size);
}
