#include "core/linear_hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    BUCKETS_MIN = 8,
    SEGMENT = 512,
};

static uint32_t segments_of(uint32_t buckets)
{
    return (buckets + SEGMENT - 1) / SEGMENT;
}

static struct linear_node **bucket(const struct linear_hash *table, uint32_t index)
{
    return &table->segments[index / SEGMENT][index % SEGMENT];
}

/* The largest power of two that is not above. */
static uint32_t level_of(uint32_t buckets)
{
    return UINT32_C(1) << (31 - __builtin_clz(buckets));
}

static uint32_t index_of(uint32_t hash, uint32_t buckets)
{
    uint32_t level = level_of(buckets);
    uint32_t index = hash & (2 * level - 1);
    return index < buckets ? index : index - level;
}

/* ---- room for one bucket more ---- */

/* Room grows at powers of two up to a segment, then by a segment. */
static int first_segment_grow(struct linear_hash *table, uint32_t buckets)
{
    struct linear_node **grown =
        realloc(table->segments[0], (size_t)buckets * sizeof(struct linear_node *));
    if (!grown)
        return -ENOMEM;
    table->segments[0] = grown;
    return 0;
}

static int segment_add(struct linear_hash *table)
{
    uint32_t count = segments_of(table->buckets);
    if ((count & (count - 1)) == 0) { /* the list of them doubles: 8 bytes for 512 buckets */
        void *list = realloc(table->segments, (size_t)2 * count * sizeof *table->segments);
        if (!list)
            return -ENOMEM;
        table->segments = list;
    }
    table->segments[count] = malloc(SEGMENT * sizeof(struct linear_node *));
    return table->segments[count] ? 0 : -ENOMEM;
}

static int room_make(struct linear_hash *table)
{
    uint32_t buckets = table->buckets;
    if (buckets < SEGMENT && (buckets & (buckets - 1)) == 0)
        return first_segment_grow(table, 2 * buckets);
    return buckets >= SEGMENT && buckets % SEGMENT == 0 ? segment_add(table) : 0;
}

static int begin(struct linear_hash *table)
{
    table->segments = malloc(sizeof *table->segments);
    struct linear_node **first = calloc(BUCKETS_MIN, sizeof(struct linear_node *));
    if (!table->segments || !first) {
        free(table->segments);
        free(first);
        table->segments = NULL;
        return -ENOMEM;
    }
    table->segments[0] = first;
    table->buckets = BUCKETS_MIN;
    return 0;
}

static void end(struct linear_hash *table)
{
    for (uint32_t i = segments_of(table->buckets); i-- > 0;)
        free(table->segments[i]);
    free(table->segments);
    *table = (struct linear_hash){0};
}

/* ---- a bucket more, a bucket less ---- */

static void split(struct linear_hash *table)
{
    uint32_t fresh = table->buckets;
    if (fresh == UINT32_MAX / 2 || room_make(table) < 0)
        return;
    struct linear_node **from = bucket(table, fresh - level_of(fresh));
    struct linear_node **to = bucket(table, fresh);
    table->buckets++;
    while (*from) {
        struct linear_node *node = *from;
        if (index_of(node->hash, table->buckets) != fresh) {
            from = &node->next;
            continue;
        }
        *from = node->next;
        *to = node;
        to = &node->next;
    }
    *to = NULL;
}

static void merge(struct linear_hash *table)
{
    uint32_t last = --table->buckets;
    struct linear_node **to = bucket(table, last - level_of(last));
    while (*to)
        to = &(*to)->next;
    *to = *bucket(table, last);
    if (last >= SEGMENT && last % SEGMENT == 0)
        free(table->segments[last / SEGMENT]);
    else if (last < SEGMENT && (last & (last - 1)) == 0)
        (void)first_segment_grow(table, last); /* smaller */
}

int linear_hash_add(struct linear_hash *table, struct linear_node *node)
{
    if (table->buckets == 0 && begin(table) < 0)
        return -ENOMEM;
    struct linear_node **at = bucket(table, index_of(node->hash, table->buckets));
    node->next = *at;
    *at = node;
    if (++table->count > table->buckets)
        split(table);
    return 0;
}

void linear_hash_remove(struct linear_hash *table, struct linear_node *node)
{
    assert(table->count > 0);
    struct linear_node **at = bucket(table, index_of(node->hash, table->buckets));
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    if (--table->count == 0)
        end(table);
    while (table->buckets > BUCKETS_MIN && table->count < table->buckets / 4)
        merge(table);
}

struct linear_node *linear_hash_first(const struct linear_hash *table, uint32_t hash)
{
    return table->buckets > 0 ? *bucket(table, index_of(hash, table->buckets)) : NULL;
}

size_t linear_hash_bytes(const struct linear_hash *table)
{
    size_t buckets = table->buckets;
    size_t room = buckets < SEGMENT ? buckets : (size_t)segments_of(table->buckets) * SEGMENT;
    return room * sizeof(struct linear_node *);
}
