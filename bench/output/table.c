#include "output/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum {
    GAP = 2,
};

void table_row(struct table *table)
{
    assert(table->rows < TABLE_ROWS_MAX);
    table->rows++;
    table->columns = 0;
}

void table_cell(struct table *table, const char *format, ...)
{
    va_list arguments;
    assert(table->rows > 0 && table->columns < TABLE_COLUMNS_MAX);
    va_start(arguments, format);
    vsnprintf(table->cells[table->rows - 1][table->columns++], TABLE_CELL_MAX, format, arguments);
    va_end(arguments);
    if (table->columns > table->widest)
        table->widest = table->columns;
}

void table_heads_of(struct table *table, const char *const *heads)
{
    table_row(table);
    for (; *heads; heads++)
        table_cell(table, "%s", *heads);
}

/* Columns on the screen: a character of UTF-8 is one, however many bytes it has. */
static int columns_of(const char *text)
{
    int columns = 0;
    for (; *text; text++)
        columns += (*text & 0xC0) != 0x80;
    return columns;
}

void table_ratio(struct table *table, struct spread ratio)
{
    if (ratio.n > 0)
        table_cell(table, "%.2f", ratio.median);
    else
        table_cell(table, "%s", "");
}

void table_print(const struct table *table, FILE *file, unsigned heads)
{
    int widths[TABLE_COLUMNS_MAX] = {0};
    int total = 0;
    for (unsigned column = 0; column < table->widest; column++) {
        for (unsigned row = 0; row < table->rows; row++) {
            int columns = columns_of(table->cells[row][column]);
            widths[column] = columns > widths[column] ? columns : widths[column];
        }
        total += widths[column] + (column > 0 ? GAP : 0);
    }
    for (unsigned row = 0; row < table->rows; row++) {
        for (unsigned column = 0; column < table->widest; column++) {
            const char *cell = table->cells[row][column];
            int pad = widths[column] - columns_of(cell);
            if (column == 0)
                fprintf(file, "  %s%*s", cell, pad, "");
            else
                fprintf(file, "%*s%s", pad + GAP, "", cell);
        }
        fputc('\n', file);
        if (row + 1 == heads) {
            fputs("  ", file);
            for (int i = 0; i < total; i++)
                fputc('-', file);
            fputc('\n', file);
        }
    }
}

/* Three digits that matter. */
static int decimals(double value)
{
    return value < 10 ? 2 : value < 100 ? 1 : 0;
}

const char *number_short(char text[TABLE_NUMBER_MAX], double value)
{
    const char *unit = "";
    if (value >= 1e6) {
        value /= 1e6;
        unit = "M";
    } else if (value >= 1e4) {
        value /= 1e3;
        unit = "k";
    }
    snprintf(text, TABLE_NUMBER_MAX, "%.*f%s", *unit ? decimals(value) : value < 100, value, unit);
    return text;
}

const char *number_grouped(char text[TABLE_NUMBER_MAX], uint64_t value)
{
    char digits[TABLE_NUMBER_MAX];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t out = 0;
    for (size_t i = 0; i < len && out + 2 < TABLE_NUMBER_MAX; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

const char *number_time(char text[TABLE_NUMBER_MAX], double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    unsigned unit = 0;
    while (ns >= 1000 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, TABLE_NUMBER_MAX, "%.*f %s", unit ? decimals(ns) : 0, ns, units[unit]);
    return text;
}

const char *number_bytes(char text[TABLE_NUMBER_MAX], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    while (bytes >= 1024 * 10 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, TABLE_NUMBER_MAX, "%.*f %s", unit ? decimals(bytes) : 0, bytes, units[unit]);
    return text;
}
