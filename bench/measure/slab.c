#include "measure/slab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/clock.h"
#include "measure/fields.h"

enum {
    GROWTH_BYTES_MIN = 64 * 1024, /* less is other programs' business */
    CALM_BYTES = 256 * 1024,
    CALM_STEP_MS = 150,
};

/* "name active total size per_slab pages …"; the two lines of heads are not like that. */
static bool parse_cache(char *line, struct slab_cache *ret)
{
    enum {
        NAME,
        ACTIVE,
        PER_SLAB = 4,
        PAGES,
        FIELDS
    };
    char *fields[FIELDS];
    uint64_t objects, per_slab, pages;
    if (fields_split(line, fields, FIELDS) < FIELDS ||
        !field_number(fields[ACTIVE], 10, &objects) ||
        !field_number(fields[PER_SLAB], 10, &per_slab) ||
        !field_number(fields[PAGES], 10, &pages) || per_slab == 0)
        return false;
    snprintf(ret->name, sizeof ret->name, "%s", fields[NAME]);
    ret->objects = (int64_t)objects;
    ret->bytes = (int64_t)(objects * pages * (uint64_t)sysconf(_SC_PAGESIZE) / per_slab);
    return true;
}

int slab_read(struct slab *ret)
{
    char line[512];
    FILE *file = fopen("/proc/slabinfo", "re");
    if (!file)
        return -errno;
    ret->count = 0;
    while (ret->count < SLAB_CACHES_MAX && fgets(line, sizeof line, file))
        ret->count += parse_cache(line, &ret->caches[ret->count]);
    fclose(file);
    return ret->count > 0 ? 0 : -EACCES;
}

static int64_t bytes_of(const struct slab *slab)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < slab->count; i++)
        sum += slab->caches[i].bytes;
    return sum;
}

bool slab_calm(const struct slab *before, const struct slab *now)
{
    return llabs(bytes_of(now) - bytes_of(before)) <= CALM_BYTES;
}

int slab_read_calm(struct slab *ret, unsigned patience_ms)
{
    const struct timespec step = {.tv_nsec = (long)CALM_STEP_MS * NS_PER_MS};
    int64_t before = INT64_MAX;
    for (unsigned waited_ms = 0;; waited_ms += CALM_STEP_MS) {
        int err = slab_read(ret);
        if (err < 0 || waited_ms >= patience_ms)
            return err;
        int64_t now = bytes_of(ret);
        if (llabs(now - before) <= CALM_BYTES)
            return 0;
        before = now;
        nanosleep(&step, NULL);
    }
}

const struct slab_cache *slab_find(const struct slab *slab, const char *name)
{
    for (unsigned i = 0; i < slab->count; i++)
        if (strcmp(slab->caches[i].name, name) == 0)
            return &slab->caches[i];
    return NULL;
}

static int by_bytes(const void *a, const void *b)
{
    const struct slab_cache *left = a, *right = b;
    return (left->bytes < right->bytes) - (left->bytes > right->bytes);
}

void slab_growth(struct slab *ret, const struct slab *before, const struct slab *after)
{
    ret->count = 0;
    for (unsigned i = 0; i < after->count; i++) {
        struct slab_cache grown = after->caches[i];
        const struct slab_cache *old = slab_find(before, grown.name);
        grown.objects -= old ? old->objects : 0;
        grown.bytes -= old ? old->bytes : 0;
        if (grown.objects > 0 && grown.bytes >= GROWTH_BYTES_MIN)
            ret->caches[ret->count++] = grown;
    }
    qsort(ret->caches, ret->count, sizeof ret->caches[0], by_bytes);
}

uint64_t slab_total_bytes(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "Slab:", 5) == 0)
            kib = strtoull(line + 5, NULL, 10);
    if (file)
        fclose(file);
    return kib * 1024;
}
