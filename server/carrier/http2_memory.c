/* http2_memory: what the library takes for a connection, counted; and the buffer for a frame, which
 * every session would have for itself: 16 KiB of its 26.
 *
 * The buffer is used from when the library makes a frame until we have taken it, and we take whole
 * frames (http2_pump). So between two turns there is nothing in it, and one is enough for all
 * sessions of a thread. The library asks for it once, while it makes a session, and larger than
 * anything else that it asks for then. */
#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/http2_internal.h"
#include "conn/check.h"

enum {
    FRAME_BYTES = 16384, /* of payload; and its head, and padding */
    FRAME_BYTES_MAX = FRAME_BYTES + 64,
};

static _Thread_local _Alignas(16) unsigned char frame_area[FRAME_BYTES_MAX];

static void *counted(struct http2 *http2, void *memory)
{
    if (memory)
        http2->bytes += malloc_usable_size(memory);
    return memory;
}

static void *lend(struct http2 *http2, size_t size)
{
    if (!http2->begins || size <= FRAME_BYTES)
        return NULL;
    assert(size <= FRAME_BYTES_MAX);
    return frame_area;
}

static void *take(size_t size, void *user)
{
    void *lent = lend(user, size);
    return lent ? lent : counted(user, malloc(size));
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    return counted(user, calloc(count, size));
}

static void give(void *memory, void *user)
{
    struct http2 *http2 = user;
    if (!memory || memory == frame_area)
        return;
    http2->bytes -= malloc_usable_size(memory);
    free(memory);
}

static void *take_again(void *memory, size_t size, void *user)
{
    struct http2 *http2 = user;
    assert(memory != frame_area && "the buffer of a frame grows");
    if (!memory)
        return take(size, user);
    size_t before = malloc_usable_size(memory);
    void *again = realloc(memory, size);
    if (again)
        http2->bytes += malloc_usable_size(again) - before;
    return again;
}

nghttp2_mem http2_memory(struct http2 *http2)
{
    return (nghttp2_mem){http2, take, give, take_zeroed, take_again};
}

void http2_memory_spoil(void)
{
    if (CONN_CHECKED)
        memset(frame_area, 0xa5, sizeof frame_area);
}
