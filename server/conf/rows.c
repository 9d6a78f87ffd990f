#include "conf/rows.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/span.h"

enum {
    COMMENT_MAX = 96,
};

/* The name of one of a choice's values: the unit lists them, as "a, b or c". */
static struct span choice_name(const struct setting *row, unsigned value)
{
    const char *at = row->unit;
    for (;; value--) {
        size_t len = strcspn(at, ", ");
        if (value == 0)
            return (struct span){at, len};
        at += len;
        at += strncmp(at, ", ", 2) == 0 ? 2 : strlen(" or ");
    }
}

static int number_set(const struct setting *row, int64_t *ret, const char *value, char *why,
                      size_t why_size)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < row->minimum ||
        number > row->maximum) {
        snprintf(why, why_size,
                 "%s = %s: needs a whole number from %" PRId64 " to %" PRId64 " (%s)", row->name,
                 value, row->minimum, row->maximum, row->unit);
        return -EINVAL;
    }
    *ret = number;
    return 0;
}

static int switch_set(const struct setting *row, bool *ret, const char *value, char *why,
                      size_t why_size)
{
    bool on = strcmp(value, "on") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    bool off = strcmp(value, "off") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
    if (!on && !off) {
        snprintf(why, why_size, "%s = %s: needs on or off", row->name, value);
        return -EINVAL;
    }
    *ret = on;
    return 0;
}

/* Every enum of the table is an unsigned. */
static int choice_set(const struct setting *row, unsigned *ret, const char *value, char *why,
                      size_t why_size)
{
    for (unsigned i = 0; i <= row->maximum; i++) {
        if (span_equal(choice_name(row, i), span_from(value))) {
            *ret = i;
            return 0;
        }
    }
    snprintf(why, why_size, "%s = %s: needs %s", row->name, value, row->unit);
    return -EINVAL;
}

static int text_set(const struct setting *row, char *ret, size_t size, const char *value, char *why,
                    size_t why_size)
{
    if (strlen(value) >= size) {
        snprintf(why, why_size, "%s: longer than %zu bytes", row->name, size - 1);
        return -EINVAL;
    }
    memmove(ret, value, strlen(value) + 1);
    return 0;
}

int row_set(void *values, const struct setting *row, const char *value, char *why, size_t why_size)
{
    void *field = (char *)values + row->at;
    switch (row->type) {
    case SETTING_NUMBER:
        return number_set(row, field, value, why, why_size);
    case SETTING_SWITCH:
        return switch_set(row, field, value, why, why_size);
    case SETTING_CHOICE:
        return choice_set(row, field, value, why, why_size);
    case SETTING_TEXT:
        return text_set(row, field, SETTINGS_TEXT_MAX, value, why, why_size);
    case SETTING_LIST:
        return text_set(row, field, SETTINGS_LIST_MAX, value, why, why_size);
    }
    return -EINVAL;
}

void row_copy(void *to, const void *from, const struct setting *row)
{
    static const size_t sizes[] = {
        [SETTING_NUMBER] = sizeof(int64_t),  [SETTING_SWITCH] = sizeof(bool),
        [SETTING_TEXT] = SETTINGS_TEXT_MAX,  [SETTING_LIST] = SETTINGS_LIST_MAX,
        [SETTING_CHOICE] = sizeof(unsigned),
    };
    memcpy((char *)to + row->at, (const char *)from + row->at, sizes[row->type]);
}

/* A line for each item. */
static void print_list(const char *name, const char *at)
{
    do {
        int len = (int)strcspn(at, " ");
        printf("%s = %.*s\n", name, len, at);
        at += len + strspn(at + len, " ");
    } while (*at != '\0');
    putchar('\n');
}

static void print_value(const void *values, const struct setting *row)
{
    const void *field = (const char *)values + row->at;
    switch (row->type) {
    case SETTING_NUMBER:
        printf("%s = %" PRId64 "\n\n", row->name, *(const int64_t *)field);
        break;
    case SETTING_SWITCH:
        printf("%s = %s\n\n", row->name, *(const bool *)field ? "on" : "off");
        break;
    case SETTING_CHOICE: {
        struct span choice = choice_name(row, *(const unsigned *)field);
        printf("%s = %.*s\n\n", row->name, (int)choice.len, choice.ptr);
        break;
    }
    case SETTING_TEXT:
        printf("%s = %s\n\n", row->name, (const char *)field);
        break;
    case SETTING_LIST:
        print_list(row->name, field);
        break;
    }
}

/* Lines that inih takes whole: of one that is longer it would read the rest as a line. */
static void print_reason(const char *reason)
{
    while (*reason != '\0') {
        size_t len = strlen(reason), fits = len < COMMENT_MAX ? len : COMMENT_MAX;
        while (fits < len && reason[fits] != ' ')
            fits--;
        printf("; %.*s\n", (int)fits, reason);
        reason += fits;
        reason += strspn(reason, " ");
    }
}

static void print_about(const struct setting *row)
{
    print_reason(row->reason);
    printf("; Unit: %s", row->unit);
    if (row->type == SETTING_NUMBER)
        printf("; from %" PRId64 " to %" PRId64, row->minimum, row->maximum);
    putchar('\n');
}

void row_print(const void *values, const struct setting *row)
{
    print_about(row);
    print_value(values, row);
}

void row_print_comment(const void *values, const struct setting *row)
{
    assert(row->type != SETTING_LIST);
    print_about(row);
    printf("; ");
    print_value(values, row);
}
