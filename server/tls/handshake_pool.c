/* handshake_pool: lends handshakes, last returned first, from pages that are touched as they are
 * needed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tls/handshake_state.h"

enum {
    PAGE = 4096,
    STRIDE = (sizeof(struct tls_handshake) + PAGE - 1) / PAGE * PAGE,
    KEPT = 16, /* whose pages stay when a storm is over */
};

struct tls_handshakes {
    unsigned char *memory;
    uint32_t *free; /* a stack of indices */
    uint32_t count;
    uint32_t free_count;
    uint32_t high; /* slots below this have been used since the pool was last trimmed */
};

struct tls_handshakes *tls_handshakes_create(uint32_t count)
{
    assert(count > 0);
    struct tls_handshakes *pool = malloc(sizeof *pool);
    uint32_t *stack = malloc(count * sizeof *stack);
    void *memory = mmap(NULL, (size_t)count * STRIDE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!pool || !stack || memory == MAP_FAILED) {
        free(pool);
        free(stack);
        if (memory != MAP_FAILED)
            munmap(memory, (size_t)count * STRIDE);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        stack[i] = count - 1 - i;
    *pool = (struct tls_handshakes){
        .memory = memory,
        .free = stack,
        .count = count,
        .free_count = count,
    };
    return pool;
}

void tls_handshakes_free(struct tls_handshakes *pool)
{
    if (!pool)
        return;
    assert(tls_handshakes_in_use(pool) == 0);
    munmap(pool->memory, (size_t)pool->count * STRIDE);
    free(pool->free);
    free(pool);
}

uint32_t tls_handshakes_in_use(const struct tls_handshakes *pool)
{
    return pool->count - pool->free_count;
}

struct tls_handshake *tls_handshake_take(struct tls_handshakes *pool)
{
    if (pool->free_count == 0)
        return NULL;
    uint32_t index = pool->free[--pool->free_count];
    if (index >= pool->high)
        pool->high = index + 1;
    void *memory = pool->memory + (size_t)index * STRIDE;
    struct tls_handshake *handshake = memory;
    handshake->index = index;
    return handshake;
}

/* Returns what a storm has touched, once it is over. */
static void trim(struct tls_handshakes *pool)
{
    if (pool->high <= KEPT)
        return;
    madvise(pool->memory + (size_t)KEPT * STRIDE, (size_t)(pool->high - KEPT) * STRIDE,
            MADV_DONTNEED);
    pool->high = KEPT;
    for (uint32_t i = 0; i < pool->count; i++)
        pool->free[i] = pool->count - 1 - i;
}

void tls_handshake_give(struct tls_handshakes *pool, struct tls_handshake *handshake)
{
    uint32_t index = handshake->index;
    assert(pool->free_count < pool->count && index < pool->count);
    if (handshake->session)
        gnutls_deinit(handshake->session);
    tls_identities_unref(handshake->choice.identities);
    explicit_bzero(handshake, offsetof(struct tls_handshake, buffer));
    pool->free[pool->free_count++] = index;
    if (pool->free_count == pool->count)
        trim(pool);
}
