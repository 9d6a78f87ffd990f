/* wakes: which endpoint has something to do first: a heap of their times.
 *
 * Threads  The courier's.
 * Memory   A pointer for each endpoint that waits.
 * Bounds   As many as endpoints: room is made before one is added. */
#pragma once

#include <stdint.h>

struct endpoint;

struct wakes {
    struct endpoint **heap;
    uint32_t count, room;
};

/* Makes room for so many. Returns 0 or -ENOMEM. */
int wakes_reserve(struct wakes *wakes, uint32_t count);
void wakes_done(struct wakes *wakes);

/* Sets its time; INT64_MAX takes it out. */
void wakes_set(struct wakes *wakes, struct endpoint *endpoint, int64_t wake_ms);
/* The first, or NULL. */
struct endpoint *wakes_first(const struct wakes *wakes);
