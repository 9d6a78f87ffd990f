/* claims_table: verdicts on the terminal, in columns whose texts are wrapped.
 *
 * Threads  one.
 * Memory   none.
 * Bounds   CLAIMS_TABLE_WIDTH_MAX columns of the screen. */
#pragma once

#include <jansson.h>
#include <stdio.h>

enum {
    CLAIMS_TABLE_WIDTH_MIN = 80,
    CLAIMS_TABLE_WIDTH_MAX = 160,
    CLAIMS_TABLE_WIDTH = 120, /* where there is no terminal */
};

/* Verdicts as in run.json: claim, source, measured, verdict. */
void claims_table_print(const json_t *verdicts, FILE *file, unsigned width);

/* The width of the terminal that standard output is, within the bounds. */
unsigned claims_table_width(void);
