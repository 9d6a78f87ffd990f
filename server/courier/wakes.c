#include "courier/wakes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "courier/endpoint.h"

int wakes_reserve(struct wakes *wakes, uint32_t count)
{
    if (count <= wakes->room)
        return 0;
    uint32_t room = wakes->room > 0 ? 2 * wakes->room : 64;
    struct endpoint **heap = realloc(wakes->heap, room * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    wakes->heap = heap;
    wakes->room = room;
    return 0;
}

void wakes_done(struct wakes *wakes)
{
    free(wakes->heap);
    *wakes = (struct wakes){0};
}

static void put(struct wakes *wakes, uint32_t at, struct endpoint *endpoint)
{
    wakes->heap[at] = endpoint;
    endpoint->place = at + 1;
}

static void up(struct wakes *wakes, uint32_t at)
{
    struct endpoint *endpoint = wakes->heap[at];
    while (at > 0 && wakes->heap[(at - 1) / 2]->wake_ms > endpoint->wake_ms) {
        put(wakes, at, wakes->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(wakes, at, endpoint);
}

static void down(struct wakes *wakes, uint32_t at)
{
    struct endpoint *endpoint = wakes->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < wakes->count &&
            wakes->heap[child + 1]->wake_ms < wakes->heap[child]->wake_ms)
            child++;
        if (child >= wakes->count || wakes->heap[child]->wake_ms >= endpoint->wake_ms)
            break;
        put(wakes, at, wakes->heap[child]);
        at = child;
    }
    put(wakes, at, endpoint);
}

static void take_out(struct wakes *wakes, struct endpoint *endpoint)
{
    uint32_t at = endpoint->place - 1;
    struct endpoint *last = wakes->heap[--wakes->count];
    endpoint->place = 0;
    if (last == endpoint)
        return;
    put(wakes, at, last);
    up(wakes, at);
    down(wakes, last->place - 1);
}

void wakes_set(struct wakes *wakes, struct endpoint *endpoint, int64_t wake_ms)
{
    endpoint->wake_ms = wake_ms;
    if (wake_ms == INT64_MAX) {
        if (endpoint->place > 0)
            take_out(wakes, endpoint);
        return;
    }
    if (endpoint->place == 0) {
        assert(wakes->count < wakes->room);
        put(wakes, wakes->count++, endpoint);
    }
    up(wakes, endpoint->place - 1);
    down(wakes, endpoint->place - 1);
}

struct endpoint *wakes_first(const struct wakes *wakes)
{
    return wakes->count > 0 ? wakes->heap[0] : NULL;
}
