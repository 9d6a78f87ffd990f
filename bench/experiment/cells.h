/* cells: what a contestant did, as the tables of several experiments show it.
 *
 * Threads  one. */
#pragma once

#include "output/result.h"
#include "output/table.h"

/* A row with the contestant's workload, where it is another than `last`, that of the row before. */
void row_workload(struct table *table, const struct contestant *contestant, const char **last);

/* Deliveries per second, with ">=" where the client was the bottleneck. */
void cell_rate(struct table *table, const struct contestant *contestant);

/* CPU time of the server for one delivery, or "unknown". */
void cell_cpu(struct table *table, const struct contestant *contestant);

/* Two cells: the CPU that the server used, or "unknown", and the client's. */
void cells_shares(struct table *table, const struct contestant *contestant);

/* Who was at its limit. */
void cell_saturated(struct table *table, const struct contestant *contestant);

/* User memory of the server for each connection, or "unknown". Accepts NULL. */
void cell_memory(struct table *table, const struct contestant *contestant);

/* How many messages were lost, doubled, out of order or corrupt: four numbers, or their sum. */
void cell_ledger(struct table *table, const struct contestant *contestant);
void cell_faults(struct table *table, const struct contestant *contestant);
