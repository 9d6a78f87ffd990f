/* slab: what the kernel holds in its object caches (/proc/slabinfo, which root may read).
 *
 * Idea     A connection's kernel memory is a dozen small objects. Two snapshots and their
 * difference say which, and how many: by objects in use, each counted with its share of the slab's
 *          slack. Somebody else's sockets are in it too: keep the machine quiet.
 * Threads  any, one at a time per snapshot.
 * Memory   a snapshot is SLAB_CACHES_MAX rows, in place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLAB_CACHES_MAX = 512,
    SLAB_NAME_MAX = 40,
};

struct slab_cache {
    char name[SLAB_NAME_MAX];
    int64_t objects;
    int64_t bytes;
};

struct slab {
    struct slab_cache caches[SLAB_CACHES_MAX];
    unsigned count;
};

/* Returns 0 or negative errno: -EACCES where only root may look. */
int slab_read(struct slab *ret);

/* Reads until two readings in a row are alike, at most `patience_ms`: sockets that were closed
 * before are given back behind a grace period, and would be missed from the growth that follows. */
int slab_read_calm(struct slab *ret, unsigned patience_ms);

/* Whether two readings, one a while after the other, are alike. */
bool slab_calm(const struct slab *before, const struct slab *now);

/* NULL: it has no such cache. */
const struct slab_cache *slab_find(const struct slab *slab, const char *name);

/* What grew from `before` to `after`, largest first. `ret` may be neither of them. */
void slab_growth(struct slab *ret, const struct slab *before, const struct slab *after);

/* All slab memory of the machine, from /proc/meminfo; 0: unknown. */
uint64_t slab_total_bytes(void);
