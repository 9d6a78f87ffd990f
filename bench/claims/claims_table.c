#include "claims/claims_table.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    COLUMNS = 4,
    MARGIN = 2,
    GAP = 2,
    VERDICT_WIDTH = 12,
};

struct column {
    const char *head, *member;
    unsigned width;
};

/* Bytes of UTF-8 that are `columns` wide, or the end. */
static size_t bytes_of(const char *text, size_t columns)
{
    size_t len = 0;
    while (text[len] && (columns > 0 || (text[len] & 0xC0) == 0x80)) {
        columns -= (text[len] & 0xC0) != 0x80;
        len++;
    }
    return len;
}

static size_t width_of(const char *text, size_t len)
{
    size_t columns = 0;
    for (size_t i = 0; i < len; i++)
        columns += (text[i] & 0xC0) != 0x80;
    return columns;
}

/* How much of the text goes into one line; `ret_next` is where the next begins. */
static size_t line_of(const char *text, size_t width, const char **ret_next)
{
    size_t len = bytes_of(text, width);
    if (text[len] && text[len] != ' ') {
        size_t back = len;
        while (back > 0 && text[back] != ' ')
            back--;
        len = back > 0 ? back : len;
    }
    *ret_next = text + len + strspn(text + len, " ");
    return len;
}

static void print_row(const struct column columns[COLUMNS], const char *texts[COLUMNS], FILE *file)
{
    for (bool more = true; more;) {
        size_t pad = MARGIN;
        more = false;
        for (unsigned i = 0; i < COLUMNS; i++) {
            const char *text = texts[i];
            size_t len = line_of(text, columns[i].width, &texts[i]);
            if (len > 0)
                fprintf(file, "%*s%.*s", (int)pad, "", (int)len, text);
            pad = (len > 0 ? 0 : pad) + columns[i].width - width_of(text, len) + GAP;
            more = more || *texts[i];
        }
        fputc('\n', file);
    }
}

static void rule(unsigned width, FILE *file)
{
    fprintf(file, "%*s", MARGIN, "");
    for (unsigned i = MARGIN; i < width; i++)
        fputc('-', file);
    fputc('\n', file);
}

void claims_table_print(const json_t *verdicts, FILE *file, unsigned width)
{
    unsigned rest = width - MARGIN - VERDICT_WIDTH - 3 * GAP;
    const struct column columns[COLUMNS] = {
        {"claim", "claim", rest * 36 / 100},
        {"source", "source", rest * 22 / 100},
        {"measured here", "measured", rest * 42 / 100},
        {"verdict", "verdict", VERDICT_WIDTH},
    };
    const char *heads[COLUMNS];
    for (unsigned i = 0; i < COLUMNS; i++)
        heads[i] = columns[i].head;
    print_row(columns, heads, file);
    rule(width, file);
    size_t index;
    json_t *verdict;
    json_array_foreach(verdicts, index, verdict)
    {
        const char *texts[COLUMNS];
        for (unsigned i = 0; i < COLUMNS; i++) {
            const char *text = json_string_value(json_object_get(verdict, columns[i].member));
            texts[i] = text ? text : "";
        }
        print_row(columns, texts, file);
    }
}

unsigned claims_table_width(void)
{
    struct winsize size;
    unsigned width = CLAIMS_TABLE_WIDTH;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    return width < CLAIMS_TABLE_WIDTH_MIN   ? CLAIMS_TABLE_WIDTH_MIN
           : width > CLAIMS_TABLE_WIDTH_MAX ? CLAIMS_TABLE_WIDTH_MAX
                                            : width;
}
