/* view: what is shown of a run while it goes on.
 *
 *   fanout  turns, websocket, depth 8, round 3                   1:12, 0:48 left
 *   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────  24 of 40 turns
 *
 *   connected  9,000 of 9,000
 *   delivered  104k/s                ▁▂▅▇▇▆▇▇▇▇▇▇▇▆▇▇
 *   …
 *
 * Idea     A state in, text out: no clock, no terminal, no allocation, so that a test can draw any
 *          moment at any width. screen.h puts the text on a terminal, watch.c fills in the state.
 * Threads  any.
 * Memory   the caller's.
 * Bounds   VIEW_ROWS_MAX contestants, VIEW_HISTORY values of a curve; no line is longer than the
 *          columns less one, nor are there more lines than the terminal has, less one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/load.h"
#include "measure/cpus.h"
#include "output/result.h"

enum {
    VIEW_ROWS_MAX = 32,
    VIEW_HISTORY = 60,
    VIEW_TEXT_MAX = 32 * 1024, /* what a drawing may have */
    VIEW_COLUMNS_MAX = 240,    /* more are left empty */
    VIEW_LINES_MAX = 64,
    VIEW_PROGRESS_MAX = 48,
};

enum view_curve {
    CURVE_DELIVERIES,
    CURVE_SERVER_CPU,
    CURVE_CLIENT_CPU,
    CURVE_COUNT,
};

/* The last turn of a contestant. */
struct view_row {
    char name[RESULT_NAME_MAX];
    char workload[RESULT_NAME_MAX];
    double deliveries_per_s;
    double ratio; /* to its ceiling, median of the rounds; 0: none */
    double server_cpu;
    uint64_t p50_ns, p99_ns; /* 0: not measured */
    bool client_bound;
};

struct view_state {
    char experiment[RESULT_NAME_MAX];
    char phase[RESULT_NAME_MAX];
    char contestant[RESULT_NAME_MAX];
    char detail[RESULT_NAME_MAX];
    double elapsed_s;
    double share;  /* of what is to do; negative: unknown */
    double left_s; /* negative: unknown */
    char progress[VIEW_PROGRESS_MAX];

    uint32_t connections, clients;
    double connects_per_s;
    double deliveries_per_s;
    double server_cpu, client_cpu; /* CPUs in use: 1 is one whole CPU */
    char server_cpus[CPUS_TEXT_MAX], client_cpus[CPUS_TEXT_MAX];
    uint64_t rss_bytes, slab_bytes, available_bytes; /* 0: unknown */
    uint64_t p50_ns, p99_ns, p999_ns;                /* 0: not measured */
    uint64_t failures[LOAD_FAIL_COUNT];              /* connects, and connections that ended */
    uint64_t ledger_faults;

    float history[CURVE_COUNT][VIEW_HISTORY]; /* oldest first */
    unsigned history_count;

    struct view_row rows[VIEW_ROWS_MAX];
    unsigned row_count;
    unsigned row_last; /* whose turn was the last */
};

struct view_style {
    unsigned columns, lines; /* of the terminal */
    bool colour;
    bool unicode;
};

/* Draws the state as lines that each end with a newline. Returns the length of the text; what does
 * not fit into `size` is left out. */
size_t view_draw(const struct view_state *state, const struct view_style *style, char *text,
                 size_t size);

/* The same as one line without its end, for where there is no terminal; without figures, what is
 * being done and how far it is. */
size_t view_line(const struct view_state *state, bool figures, char *text, size_t size);

/* Columns that a text takes: a character of UTF-8 is one, and a colour none. */
unsigned view_columns(const char *text, size_t len);
