/* quic_memory: what a connection takes, counted: the library's blocks and ours, from an arena of
 * its own as long as that lasts. Builds with a sanitizer ask malloc, which tells them of each. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/quic_internal.h"
#include "conn/check.h"

enum {
    /* Of a block that is wiped when it is given back: traffic secrets, and pieces of what was said.
     * Larger ones are the library's pools, of which most was never touched. */
    WIPED_MAX = 2048,
};

static bool is_inside(const struct quic *quic, const void *memory)
{
    return quic->arena && arena_has(quic->arena, memory);
}

static size_t bytes_of(const struct quic *quic, void *memory)
{
    return is_inside(quic, memory) ? arena_block_bytes(memory) : malloc_usable_size(memory);
}

static void *take_from(struct quic *quic, size_t size, bool dense)
{
    void *memory = quic->arena ? arena_take(quic->arena, size, dense) : NULL;
    if (!memory)
        memory = malloc(size);
    if (memory)
        quic->bytes += bytes_of(quic, memory);
    return memory;
}

void *quic_take(struct quic *quic, size_t size)
{
    return take_from(quic, size, false);
}

void *quic_take_zeroed(struct quic *quic, size_t size)
{
    void *memory = take_from(quic, size, true);
    return memory ? memset(memory, 0, size) : NULL;
}

void quic_give(struct quic *quic, void *memory)
{
    if (!memory)
        return;
    size_t bytes = bytes_of(quic, memory);
    quic->bytes -= bytes;
    bytes -= is_inside(quic, memory) ? ARENA_HEAD_BYTES : 0;
    if (bytes <= WIPED_MAX)
        explicit_bzero(memory, bytes);
    if (is_inside(quic, memory))
        arena_give(quic->arena, memory);
    else
        free(memory);
}

void quic_trim(struct quic *quic)
{
    quic->is_trimmed = true;
    if (quic->arena)
        arena_trim(quic->arena);
}

/* ---- as the library asks ---- */

static void *take(size_t size, void *user)
{
    return quic_take(user, size);
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : quic_take_zeroed(user, bytes);
}

static void give(void *memory, void *user)
{
    quic_give(user, memory);
}

static void *take_again(void *memory, size_t size, void *user)
{
    struct quic *quic = user;
    size_t before = memory ? bytes_of(quic, memory) : 0;
    if (is_inside(quic, memory))
        before -= ARENA_HEAD_BYTES;
    void *again = quic_take(quic, size);
    if (!again)
        return NULL;
    if (memory)
        memcpy(again, memory, before < size ? before : size);
    quic_give(quic, memory);
    return again;
}

/* ---- the connection ---- */

struct quic *quic_make(struct quic_port *port)
{
    struct arena *arena = CONN_CHECKED ? NULL : arena_get(&port->arenas);
    struct quic empty = {.arena = arena};
    struct quic *quic = quic_take_zeroed(&empty, sizeof *quic);
    if (!quic) {
        arena_put(&port->arenas, arena);
        return NULL;
    }
    quic->port = port;
    quic->arena = arena;
    quic->bytes = empty.bytes;
    quic->memory = (ngtcp2_mem){quic, take, give, take_zeroed, take_again};
    return quic;
}

void quic_unmake(struct quic *quic)
{
    struct arena *arena = quic->arena;
    struct arenas *arenas = &quic->port->arenas;
    bool inside = is_inside(quic, quic);
    explicit_bzero(quic, sizeof *quic);
    if (!inside)
        free(quic);
    arena_put(arenas, arena);
}
