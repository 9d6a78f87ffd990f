#include "hub/table.h"

#include <errno.h>

static unsigned part_of(unsigned low_half)
{
    return low_half >> (32 - TABLE_PART_BITS);
}

struct table_node *table_any(const struct table *table, unsigned *part)
{
    while (*part < TABLE_PARTS && !table->parts[*part])
        ++*part;
    return *part < TABLE_PARTS ? table->parts[*part] : NULL;
}

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

struct table_node *table_find(const struct table *table, const char *name, size_t len,
                              uint64_t hash)
{
    struct table_node *node;
    HASH_FIND_BYHASHVALUE(hh, table->parts[part_of((unsigned)hash)], name, len, (unsigned)hash,
                          node);
    return node;
}

int table_insert(struct table *table, struct table_node *node, const char *name, size_t len,
                 uint64_t hash)
{
    struct table_node **part = &table->parts[part_of((unsigned)hash)];
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, *part, name, len, (unsigned)hash, node);
    return node->hh.tbl ? 0 : -ENOMEM;
}

void table_remove(struct table *table, struct table_node *node)
{
    struct table_node **part = &table->parts[part_of(node->hh.hashv)];
    HASH_DEL(*part, node);
}

/* NOLINTEND(readability-function-size) */
