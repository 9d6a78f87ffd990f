/* costs: what a connection costs, as the tables of several experiments show it.
 *
 * Threads  one. */
#pragma once

#include "output/result.h"
#include "output/table.h"

/* Four cells: user and kernel memory of each connection, and how many server ends of connections a
 * GiB holds, or "unknown"; and the server's CPU while they were idle. */
void costs_cells(struct table *table, const struct contestant *contestant);

/* A line with the kernel objects of each connection; nothing where they are unknown. */
void costs_print_slab(const struct contestant *contestant);
