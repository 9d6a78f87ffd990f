#include "output/view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "output/number.h"

enum {
    LABEL_COLUMNS = 11,
    CURVE_AT = 36,
    CURVE_COLUMNS_MIN = 8,
    PANES_FROM = 130, /* from this width on contestants stand beside the gauges */
    PANE_COLUMNS = 76,
    PIECE_MAX = 512,
    HEAD_LINES = 3,
    TABLE_HEAD_LINES = 2,
    NAME_COLUMNS_MIN = 16,
    CELL_COLUMNS = 9,
};

/* From this share of a CPU on a side is at its limit. */
static const double CPU_FULL = 0.95;

enum tone {
    TONE_PLAIN,
    TONE_STRONG,
    TONE_QUIET,
    TONE_GOOD,
    TONE_BAD,
    TONE_MARK,
};

static const char *const tones[] = {
    [TONE_PLAIN] = "",        [TONE_STRONG] = "\033[1m", [TONE_QUIET] = "\033[2m",
    [TONE_GOOD] = "\033[32m", [TONE_BAD] = "\033[31m",   [TONE_MARK] = "\033[36m",
};

/* Where a drawing has got to. */
struct canvas {
    char *text;
    size_t size, len;
    const struct view_style *style;
    unsigned columns; /* of a line */
    unsigned at;      /* column in this line */
    unsigned lines;
};

/* ---- the canvas ---- */

static size_t character_bytes(const char *text)
{
    size_t len = 1;
    while (((unsigned char)text[len] & 0xC0) == 0x80)
        len++;
    return len;
}

static void raw(struct canvas *canvas, const char *text, size_t len)
{
    if (canvas->len + len > canvas->size)
        return;
    memcpy(canvas->text + canvas->len, text, len);
    canvas->len += len;
}

/* As much of a text as its line has room for. */
static void put_text(struct canvas *canvas, enum tone tone, const char *text)
{
    bool toned = canvas->style->colour && tone != TONE_PLAIN;
    if (toned)
        raw(canvas, tones[tone], strlen(tones[tone]));
    while (*text && canvas->at < canvas->columns) {
        size_t len = character_bytes(text);
        raw(canvas, text, len);
        canvas->at++;
        text += len;
    }
    if (toned)
        raw(canvas, "\033[0m", 4);
}

__attribute__((format(printf, 3, 4))) static void put(struct canvas *canvas, enum tone tone,
                                                      const char *format, ...)
{
    char text[PIECE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_text(canvas, tone, text);
}

static void pad_to(struct canvas *canvas, unsigned column)
{
    while (canvas->at < column && canvas->at < canvas->columns) {
        raw(canvas, " ", 1);
        canvas->at++;
    }
}

/* Ends where the cell ends; one that is too long moves what follows. */
static void put_right(struct canvas *canvas, enum tone tone, unsigned end, const char *text)
{
    unsigned width = view_columns(text, strlen(text));
    pad_to(canvas, end > width ? end - width : 0);
    put_text(canvas, tone, text);
}

static void end_line(struct canvas *canvas)
{
    raw(canvas, "\n", 1);
    canvas->at = 0;
    canvas->lines++;
}

unsigned view_columns(const char *text, size_t len)
{
    unsigned columns = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\033')
            while (i + 1 < len && text[i] != 'm')
                i++;
        else
            columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return columns;
}

/* ---- words ---- */

/* An exact nothing has no decimals. */
static const char *rate(char text[NUMBER_TEXT_MAX], double per_second)
{
    return per_second > 0 ? number_short(text, per_second) : "0";
}

/* 48 s, 1:12, 1:02:03 */
static const char *duration(char text[NUMBER_TEXT_MAX], double seconds)
{
    unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;
    if (s < 60)
        snprintf(text, NUMBER_TEXT_MAX, "%lu s", s);
    else if (s < 3600)
        snprintf(text, NUMBER_TEXT_MAX, "%lu:%02lu", s / 60, s % 60);
    else
        snprintf(text, NUMBER_TEXT_MAX, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    return text;
}

/* "turns, websocket, depth 8" */
static void say_where(const struct view_state *state, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s%s%s", state->phase, state->contestant[0] ? ", " : "",
             state->contestant, state->detail[0] ? ", " : "", state->detail);
}

/* "12 refused, 3 timeout"; an empty text when there is nothing to say. */
static void say_errors(const struct view_state *state, char *text, size_t size)
{
    char number[NUMBER_TEXT_MAX];
    size_t len = 0;
    text[0] = '\0';
    if (state->ledger_faults > 0)
        len = (size_t)snprintf(text, size, "%s lost, doubled, out of order or corrupt",
                               number_grouped(number, state->ledger_faults));
    for (int i = 0; i < LOAD_FAIL_COUNT && len < size; i++)
        if (state->failures[i] > 0)
            len += (size_t)snprintf(text + len, size - len, "%s%s %s", len > 0 ? ", " : "",
                                    number_grouped(number, state->failures[i]),
                                    load_failure_name((enum load_failure)i));
}

/* ---- the head ---- */

static void draw_title(struct canvas *canvas, const struct view_state *state)
{
    char clock[PIECE_MAX], elapsed[NUMBER_TEXT_MAX], left[NUMBER_TEXT_MAX], where[PIECE_MAX];
    snprintf(clock, sizeof clock, state->left_s >= 0 ? "%s, %s left" : "%s",
             duration(elapsed, state->elapsed_s), duration(left, state->left_s));
    unsigned columns = canvas->columns, width = view_columns(clock, strlen(clock));
    say_where(state, where, sizeof where);
    canvas->columns = columns > width + 2 ? columns - width - 2 : columns;
    put_text(canvas, TONE_STRONG, state->experiment);
    put(canvas, TONE_PLAIN, "  %s", where);
    canvas->columns = columns;
    put_right(canvas, TONE_QUIET, columns, clock);
    end_line(canvas);
}

static void draw_bar(struct canvas *canvas, const struct view_state *state)
{
    bool unicode = canvas->style->unicode;
    unsigned text = view_columns(state->progress, strlen(state->progress));
    unsigned taken = text > 0 ? text + 2 : 0;
    unsigned room = canvas->columns > taken ? canvas->columns - taken : 0;
    double share = state->share < 0 ? 0 : state->share > 1 ? 1 : state->share;
    unsigned full = (unsigned)(share * room + 0.5);
    for (unsigned i = 0; i < room; i++)
        put_text(canvas, i < full ? TONE_MARK : TONE_QUIET,
                 i < full ? (unicode ? "━" : "#") : (unicode ? "─" : "."));
    put_right(canvas, TONE_PLAIN, canvas->columns, state->progress);
    end_line(canvas);
}

/* ---- gauges ---- */

enum gauge {
    GAUGE_CONNECTED,
    GAUGE_DELIVERED,
    GAUGE_LATENCY,
    GAUGE_SERVER_CPU,
    GAUGE_CLIENT_CPU,
    GAUGE_MEMORY,
    GAUGE_ERRORS,
    GAUGE_COUNT,
};

static void draw_curve(struct canvas *canvas, const struct view_state *state, enum view_curve curve,
                       double least_top)
{
    static const char *const fine[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {" ", ".", ".", ":", "-", "=", "+", "*", "#"};
    double top = least_top;
    unsigned count = state->history_count;
    if (count == 0 || canvas->columns < CURVE_AT + CURVE_COLUMNS_MIN || canvas->at >= CURVE_AT)
        return;
    pad_to(canvas, CURVE_AT);
    if (count > canvas->columns - CURVE_AT)
        count = canvas->columns - CURVE_AT;
    const float *values = state->history[curve] + state->history_count - count;
    for (unsigned i = 0; i < count; i++)
        top = values[i] > top ? values[i] : top;
    for (unsigned i = 0; i < count; i++) {
        unsigned level = top > 0 && values[i] > 0 ? 1 + (unsigned)(values[i] / top * 7.49) : 0;
        put_text(canvas, TONE_MARK, (canvas->style->unicode ? fine : plain)[level]);
    }
}

static void draw_connected(struct canvas *canvas, const struct view_state *state)
{
    char text[NUMBER_TEXT_MAX];
    put_text(canvas, TONE_STRONG, number_grouped(text, state->connections));
    if (state->clients > 0)
        put(canvas, TONE_PLAIN, " of %s", number_grouped(text, state->clients));
    if (state->connects_per_s >= 1)
        put(canvas, TONE_PLAIN, ", +%s/s", number_short(text, state->connects_per_s));
}

static void draw_latency(struct canvas *canvas, const struct view_state *state)
{
    const uint64_t values[] = {state->p50_ns, state->p99_ns, state->p999_ns};
    static const char *const names[] = {"p50 ", "p99 ", "p99.9 "};
    char text[NUMBER_TEXT_MAX];
    if (state->p50_ns == 0)
        put_text(canvas, TONE_QUIET, "-");
    for (int i = 0; i < 3 && values[i] > 0; i++) {
        number_time(text, (double)values[i]);
        unsigned width = (unsigned)strlen(names[i]) + (unsigned)strlen(text) + 2;
        if (i > 0 && canvas->at + width > canvas->columns)
            return;
        put(canvas, TONE_QUIET, "%s%s", i > 0 ? "  " : "", names[i]);
        put_text(canvas, TONE_STRONG, text);
    }
}

static void draw_cpu(struct canvas *canvas, const struct view_state *state, double used,
                     const char *cpus, enum view_curve curve)
{
    put(canvas, used >= CPU_FULL ? TONE_BAD : TONE_STRONG, "%.0f %%", 100 * used);
    if (cpus[0])
        put(canvas, TONE_PLAIN, " of CPU %.12s", cpus);
    draw_curve(canvas, state, curve, 1);
}

static void draw_memory(struct canvas *canvas, const struct view_state *state)
{
    const uint64_t values[] = {state->rss_bytes, state->slab_bytes, state->available_bytes};
    static const char *const names[] = {"server ", "kernel slab ", "free "};
    char text[NUMBER_TEXT_MAX];
    unsigned from = canvas->at;
    for (int i = 0; i < 3; i++) {
        number_bytes(text, (double)values[i]);
        unsigned width = (unsigned)strlen(names[i]) + (unsigned)strlen(text) + 2;
        if (values[i] == 0 || (canvas->at > from && canvas->at + width > canvas->columns))
            continue;
        put(canvas, TONE_QUIET, "%s%s", canvas->at > from ? "  " : "", names[i]);
        put_text(canvas, TONE_STRONG, text);
    }
}

static void draw_errors(struct canvas *canvas, const struct view_state *state)
{
    char text[PIECE_MAX];
    say_errors(state, text, sizeof text);
    put_text(canvas, text[0] ? TONE_BAD : TONE_GOOD, text[0] ? text : "none");
}

static void draw_gauge(struct canvas *canvas, const struct view_state *state, enum gauge gauge)
{
    static const char *const labels[] = {"connected",  "delivered", "latency", "server CPU",
                                         "client CPU", "memory",    "errors"};
    char text[NUMBER_TEXT_MAX];
    put_text(canvas, TONE_QUIET, labels[gauge]);
    pad_to(canvas, LABEL_COLUMNS);
    switch (gauge) {
    case GAUGE_CONNECTED:
        draw_connected(canvas, state);
        break;
    case GAUGE_DELIVERED:
        put(canvas, TONE_STRONG, "%s/s", rate(text, state->deliveries_per_s));
        draw_curve(canvas, state, CURVE_DELIVERIES, 0);
        break;
    case GAUGE_LATENCY:
        draw_latency(canvas, state);
        break;
    case GAUGE_SERVER_CPU:
        draw_cpu(canvas, state, state->server_cpu, state->server_cpus, CURVE_SERVER_CPU);
        break;
    case GAUGE_CLIENT_CPU:
        draw_cpu(canvas, state, state->client_cpu, state->client_cpus, CURVE_CLIENT_CPU);
        break;
    case GAUGE_MEMORY:
        draw_memory(canvas, state);
        break;
    case GAUGE_ERRORS:
        draw_errors(canvas, state);
        break;
    case GAUGE_COUNT:
        break;
    }
}

/* ---- contestants ---- */

enum cell {
    CELL_RATE,
    CELL_P99,
    CELL_P50,
    CELL_RATIO,
    CELL_CPU,
    CELL_COUNT, /* in the order in which they are left out, the last first */
};

/* The cells from left to right. */
static const enum cell cell_order[] = {CELL_RATE, CELL_RATIO, CELL_P50, CELL_P99, CELL_CPU};
static const char *const cell_heads[] = {
    [CELL_RATE] = "per s", [CELL_RATIO] = "x bare", [CELL_P50] = "p50",
    [CELL_P99] = "p99",    [CELL_CPU] = "CPU",
};

static void cell_text(const struct view_row *row, enum cell cell, char text[NUMBER_TEXT_MAX])
{
    char number[NUMBER_TEXT_MAX];
    text[0] = '\0';
    if (cell == CELL_RATE)
        snprintf(text, NUMBER_TEXT_MAX, "%s%.16s", row->client_bound ? ">=" : "",
                 number_short(number, row->deliveries_per_s));
    else if (cell == CELL_RATIO && row->ratio > 0)
        snprintf(text, NUMBER_TEXT_MAX, "%.2f", row->ratio);
    else if (cell == CELL_P50 && row->p50_ns > 0)
        number_time(text, (double)row->p50_ns);
    else if (cell == CELL_P99 && row->p99_ns > 0)
        number_time(text, (double)row->p99_ns);
    else if (cell == CELL_CPU)
        snprintf(text, NUMBER_TEXT_MAX, "%.0f %%", 100 * row->server_cpu);
}

static unsigned cells_that_fit(unsigned columns)
{
    unsigned count = columns > NAME_COLUMNS_MIN ? (columns - NAME_COLUMNS_MIN) / CELL_COLUMNS : 0;
    return count < CELL_COUNT ? count : CELL_COUNT;
}

/* A line of the table from the present column on; `row` NULL: its head. */
static void draw_row(struct canvas *canvas, const struct view_row *row, bool last)
{
    char text[2 * RESULT_NAME_MAX + NUMBER_TEXT_MAX];
    unsigned from = canvas->at;
    unsigned columns = canvas->columns - from;
    unsigned fit = cells_that_fit(columns);
    unsigned most = NAME_COLUMNS_MIN * 3;
    unsigned name = columns - fit * CELL_COLUMNS < most ? columns - fit * CELL_COLUMNS : most;
    unsigned end = from + name, whole = canvas->columns;
    snprintf(text, sizeof text, "%s%s%s", row ? row->name : "last turn",
             row && row->workload[0] ? ", " : "", row ? row->workload : "");
    canvas->columns = end;
    put_text(canvas, !row ? TONE_QUIET : last ? TONE_STRONG : TONE_PLAIN, text);
    canvas->columns = whole;
    for (size_t i = 0; i < CELL_COUNT; i++) {
        if (cell_order[i] >= fit)
            continue;
        end += CELL_COLUMNS;
        if (row)
            cell_text(row, cell_order[i], text);
        put_right(canvas, row ? TONE_PLAIN : TONE_QUIET, end,
                  row ? text : cell_heads[cell_order[i]]);
    }
}

/* Which contestants are shown where there is no room for all: those of the workload whose turn it
 * was. Returns how many, at most `room`. */
static unsigned rows_shown(const struct view_state *state, unsigned room,
                           unsigned ret[VIEW_ROWS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < state->row_count && count < room; i++) {
        const char *workload = state->rows[state->row_last].workload;
        if (state->row_count <= room || strcmp(state->rows[i].workload, workload) == 0)
            ret[count++] = i;
    }
    return count;
}

/* ---- the whole ---- */

static void draw_below(struct canvas *canvas, const struct view_state *state)
{
    unsigned shown[VIEW_ROWS_MAX];
    unsigned used = HEAD_LINES + GAUGE_COUNT + TABLE_HEAD_LINES;
    unsigned room = canvas->style->lines > used + 1 ? canvas->style->lines - used - 1 : 0;
    unsigned count = rows_shown(state, room, shown);
    for (unsigned i = 0; i < GAUGE_COUNT && canvas->lines + 1 < canvas->style->lines; i++) {
        draw_gauge(canvas, state, (enum gauge)i);
        end_line(canvas);
    }
    if (count == 0)
        return;
    end_line(canvas);
    draw_row(canvas, NULL, false);
    end_line(canvas);
    for (unsigned i = 0; i < count; i++) {
        draw_row(canvas, &state->rows[shown[i]], shown[i] == state->row_last);
        end_line(canvas);
    }
}

static void draw_beside(struct canvas *canvas, const struct view_state *state)
{
    unsigned shown[VIEW_ROWS_MAX];
    unsigned room =
        canvas->style->lines > HEAD_LINES + 2 ? canvas->style->lines - HEAD_LINES - 2 : 0;
    unsigned count = rows_shown(state, room, shown);
    unsigned whole = canvas->columns;
    for (unsigned i = 0; i < GAUGE_COUNT || i < count + 1; i++) {
        if (canvas->lines + 1 >= canvas->style->lines)
            return;
        canvas->columns = PANE_COLUMNS;
        if (i < GAUGE_COUNT)
            draw_gauge(canvas, state, (enum gauge)i);
        canvas->columns = whole;
        if (count > 0 && i < count + 1) {
            pad_to(canvas, PANE_COLUMNS + 4);
            draw_row(canvas, i > 0 ? &state->rows[shown[i - 1]] : NULL,
                     i > 0 && shown[i - 1] == state->row_last);
        }
        end_line(canvas);
    }
}

size_t view_draw(const struct view_state *state, const struct view_style *style, char *text,
                 size_t size)
{
    unsigned columns = style->columns < VIEW_COLUMNS_MAX ? style->columns : VIEW_COLUMNS_MAX;
    struct canvas canvas = {
        .text = text, .size = size, .style = style, .columns = columns > 1 ? columns - 1 : 1};
    if (style->lines < HEAD_LINES)
        return 0;
    draw_title(&canvas, state);
    draw_bar(&canvas, state);
    if (style->lines <= HEAD_LINES)
        return canvas.len;
    end_line(&canvas);
    if (columns >= PANES_FROM)
        draw_beside(&canvas, state);
    else
        draw_below(&canvas, state);
    return canvas.len;
}

/* ---- as one line ---- */

struct sentence {
    char *text;
    size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *sentence, const char *format,
                                                      ...)
{
    va_list arguments;
    if (sentence->len >= sentence->size)
        return;
    va_start(arguments, format);
    int len = vsnprintf(sentence->text + sentence->len, sentence->size - sentence->len, format,
                        arguments);
    va_end(arguments);
    sentence->len += len > 0 ? (size_t)len : 0;
}

static void say_progress(struct sentence *sentence, const struct view_state *state)
{
    char left[NUMBER_TEXT_MAX];
    if (state->progress[0])
        say(sentence, " (%s%s", state->progress, state->left_s < 0 ? ")" : "");
    if (state->left_s >= 0)
        say(sentence, "%s%s left)", state->progress[0] ? ", " : " (",
            duration(left, state->left_s));
}

static void say_figures(struct sentence *sentence, const struct view_state *state)
{
    char errors[PIECE_MAX], a[NUMBER_TEXT_MAX], b[NUMBER_TEXT_MAX];
    say(sentence, ": %s connected, %s deliveries/s", number_grouped(a, state->connections),
        rate(b, state->deliveries_per_s));
    if (state->p50_ns > 0)
        say(sentence, ", p50 %s, p99 %s", number_time(a, (double)state->p50_ns),
            number_time(b, (double)state->p99_ns));
    say(sentence, "; CPU server %.2f, client %.2f", state->server_cpu, state->client_cpu);
    if (state->rss_bytes > 0)
        say(sentence, "; server %s", number_bytes(a, (double)state->rss_bytes));
    if (state->slab_bytes > 0)
        say(sentence, ", kernel slab %s", number_bytes(a, (double)state->slab_bytes));
    say_errors(state, errors, sizeof errors);
    if (errors[0])
        say(sentence, "; errors: %s", errors);
}

size_t view_line(const struct view_state *state, bool figures, char *text, size_t size)
{
    struct sentence sentence = {.text = text, .size = size};
    char where[PIECE_MAX];
    say_where(state, where, sizeof where);
    say(&sentence, "[%6.1f s] %s", state->elapsed_s, where);
    say_progress(&sentence, state);
    if (figures)
        say_figures(&sentence, state);
    return sentence.len < size ? sentence.len : size - 1;
}
