/* table: aligned columns on the terminal, with numbers as people read them.
 *
 * Threads  one.
 * Memory   in place; cells that are too long are cut.
 * Bounds   TABLE_ROWS_MAX, TABLE_COLUMNS_MAX. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "output/spread.h"

enum {
    TABLE_ROWS_MAX = 288,
    TABLE_COLUMNS_MAX = 12,
    TABLE_CELL_MAX = 32,
};

struct table {
    unsigned rows;
    unsigned columns; /* of the row being filled; the widest row decides */
    unsigned widest;
    char cells[TABLE_ROWS_MAX][TABLE_COLUMNS_MAX][TABLE_CELL_MAX];
};

/* Begins a row; what follows are its cells. */
void table_row(struct table *table);
__attribute__((format(printf, 2, 3))) void table_cell(struct table *table, const char *format, ...);

/* A row of heads: texts. */
#define table_heads(table, ...) table_heads_of(table, (const char *const[]){__VA_ARGS__, NULL})
void table_heads_of(struct table *table, const char *const *heads);

/* A cell with the median; an empty one when nothing was measured. */
void table_ratio(struct table *table, struct spread ratio);

/* The first column to the left, the others to the right; a rule below `heads` rows. */
void table_print(const struct table *table, FILE *file, unsigned heads);

/* ---- numbers ---- */

#define TABLE_NUMBER_MAX 28 /* the largest, in groups, is 26 characters */
/* 950, 9.5k, 104k, 1.25M */
const char *number_short(char text[TABLE_NUMBER_MAX], double value);
/* 10,000 */
const char *number_grouped(char text[TABLE_NUMBER_MAX], uint64_t value);
/* 850 ns, 12.3 us, 4.56 ms, 1.20 s */
const char *number_time(char text[TABLE_NUMBER_MAX], double ns);
/* 95 B, 4.6 KiB, 1.2 GiB */
const char *number_bytes(char text[TABLE_NUMBER_MAX], double bytes);
