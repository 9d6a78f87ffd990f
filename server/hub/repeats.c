#include "hub/repeats.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    REPEATS_MIN = 64,
};
#define NONE UINT32_MAX

static uint32_t *bucket_of(const struct repeats *repeats, uint64_t channel, uint64_t key)
{
    return &repeats->buckets[(channel ^ key >> 32 ^ key) & (repeats->capacity - 1)];
}

static void link_in(struct repeats *repeats, uint32_t index)
{
    struct repeat *repeat = &repeats->ring[index];
    uint32_t *bucket = bucket_of(repeats, repeat->channel, repeat->key);
    repeat->next = *bucket;
    *bucket = index;
}

static void drop_oldest(struct repeats *repeats)
{
    const struct repeat *oldest = &repeats->ring[repeats->head];
    uint32_t *link = bucket_of(repeats, oldest->channel, oldest->key);
    while (*link != repeats->head)
        link = &repeats->ring[*link].next;
    *link = oldest->next;
    repeats->head = (repeats->head + 1) & (repeats->capacity - 1);
    repeats->count--;
}

void repeats_done(struct repeats *repeats)
{
    free(repeats->ring);
    free(repeats->buckets);
    *repeats = (struct repeats){.max = repeats->max};
}

void repeats_expire(struct repeats *repeats, int64_t now_ns, unsigned most)
{
    for (; most > 0 && repeats->count > 0 && repeats->ring[repeats->head].until_ns <= now_ns;
         most--)
        drop_oldest(repeats);
    if (repeats->count == 0 && repeats->capacity > 0)
        repeats_done(repeats);
}

const struct repeat *repeats_find(struct repeats *repeats, uint64_t channel, uint64_t key,
                                  int64_t now_ns)
{
    if (repeats->count == 0)
        return NULL;
    uint32_t at = *bucket_of(repeats, channel, key);
    for (; at != NONE; at = repeats->ring[at].next) {
        const struct repeat *repeat = &repeats->ring[at];
        if (repeat->channel == channel && repeat->key == key && repeat->until_ns > now_ns)
            return repeat;
    }
    return NULL;
}

static int resize(struct repeats *repeats, uint32_t capacity)
{
    struct repeats grown = {.capacity = capacity, .max = repeats->max};
    grown.ring = malloc(capacity * sizeof *grown.ring);
    grown.buckets = malloc(capacity * sizeof *grown.buckets);
    if (!grown.ring || !grown.buckets) {
        repeats_done(&grown);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < capacity; i++)
        grown.buckets[i] = NONE;
    for (; grown.count < repeats->count; grown.count++) {
        grown.ring[grown.count] =
            repeats->ring[(repeats->head + grown.count) & (repeats->capacity - 1)];
        link_in(&grown, grown.count);
    }
    repeats_done(repeats);
    *repeats = grown;
    return 0;
}

int repeats_reserve(struct repeats *repeats)
{
    if (repeats->max == 0)
        return -ENOSPC;
    if (repeats->count >= repeats->max || repeats->count < repeats->capacity)
        return 0;
    return resize(repeats, repeats->capacity > 0 ? 2 * repeats->capacity : REPEATS_MIN);
}

void repeats_add(struct repeats *repeats, const struct repeat *repeat)
{
    while (repeats->count >= repeats->max)
        drop_oldest(repeats);
    assert(repeats->count < repeats->capacity);
    uint32_t index = (repeats->head + repeats->count++) & (repeats->capacity - 1);
    repeats->ring[index] = *repeat;
    link_in(repeats, index);
}
