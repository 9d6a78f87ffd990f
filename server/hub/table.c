#include "hub/table.h"

#include <errno.h>

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

struct table_node *table_find(const struct table *table, const char *name, size_t len,
                              uint64_t hash)
{
    struct table_node *node;
    HASH_FIND_BYHASHVALUE(hh, table->nodes, name, len, (unsigned)hash, node);
    return node;
}

int table_insert(struct table *table, struct table_node *node, const char *name, size_t len,
                 uint64_t hash)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, table->nodes, name, len, (unsigned)hash, node);
    return node->hh.tbl ? 0 : -ENOMEM;
}

void table_remove(struct table *table, struct table_node *node)
{
    HASH_DEL(table->nodes, node);
}

/* NOLINTEND(readability-function-size) */
