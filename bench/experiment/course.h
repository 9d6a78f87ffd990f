/* course: what a server and the kernel held at a few named moments, for peers that came and went.
 *
 * Idea     Whether memory comes back is seen by the readings that say what a connection costs: the
 *          server's resident set, and the slab caches. Those are the whole machine's. So they are
 *          told as growth since the first moment, and only of the caches that had grown at the
 *          second by an object or more for each peer: others are other programs' business.
 * Threads  one.
 * Memory   course_create to course_free.
 * Bounds   COURSE_MOMENTS_MAX. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "measure/slab.h"

enum {
    COURSE_MOMENTS_MAX = 8,
};

struct moment {
    const char *when;
    uint64_t rss_bytes;   /* 0: unknown */
    int64_t kernel_bytes; /* since the first moment; negative: unknown */
};

struct course {
    uint32_t peers;
    struct moment moments[COURSE_MOMENTS_MAX];
    unsigned count;
    struct slab first;    /* of the first moment; empty: unknown */
    struct slab followed; /* growth of the peers' caches at the second */
};

/* Of so many peers, who come between the first moment and the second. */
struct course *course_create(uint32_t peers);

/* Accepts NULL. */
void course_free(struct course *course);

/* Adds a moment. `now` NULL or empty: the caches are unknown. */
void course_add(struct course *course, const char *when, uint64_t rss_bytes,
                const struct slab *now);

/* The list of docs/RESULTS.md; a new reference. */
json_t *course_json(const struct course *course);
