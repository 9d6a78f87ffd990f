/* rows: what a table of settings is made of, whatever struct its values are in.
 *
 * Threads  any.
 * Memory   The caller's: a row says where in the struct its value is.
 * Errors   0 or -EINVAL with one line in `why`. Internal to conf/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    SETTINGS_TEXT_MAX = 1024,
    SETTINGS_LIST_MAX = 16384,
};

enum setting_type {
    SETTING_NUMBER,
    SETTING_SWITCH,
    SETTING_TEXT,
    SETTING_LIST,
    SETTING_CHOICE,
    SETTING_POLICY = SETTING_CHOICE,
    SETTING_PUBLISH_ON = SETTING_CHOICE,
    SETTING_PROXY_HEADER = SETTING_CHOICE,
    SETTING_LOG_FORMAT = SETTING_CHOICE,
    SETTING_KAFKA_START = SETTING_CHOICE,
    SETTING_KAFKA_REFUSED = SETTING_CHOICE,
    SETTING_WHO = SETTING_CHOICE,
    SETTING_OWN_POLICY = SETTING_CHOICE,
    SETTING_DELTAS = SETTING_CHOICE,
    SETTING_HOOK_SCHEME = SETTING_CHOICE,
};

struct setting {
    const char
        *section; /* set on the first of a section's rows, which stands for its heading only */
    const char *name;
    enum setting_type type;
    size_t at;
    int64_t minimum;
    int64_t maximum;
    const char *unit;
    const char *reason;
};

/* A row of a table; `type_in` is the struct that has the values. */
#define ROW_OF(type_in, row_type, row_name, low, high, row_unit, row_reason)                       \
    {                                                                                              \
        .name = #row_name, .type = SETTING_##row_type, .at = offsetof(type_in, row_name),          \
        .minimum = (low), .maximum = (high), .unit = (row_unit), .reason = (row_reason)            \
    }

/* Sets the value of a row in its struct. */
int row_set(void *values, const struct setting *row, const char *value, char *why, size_t why_size);

/* Sets the field of a row in one struct to what it is in another. */
void row_copy(void *to, const void *from, const struct setting *row);

/* Prints the row as lines of an INI file with comments. */
void row_print(const void *values, const struct setting *row);
/* The same with nothing but comments; not of a list. */
void row_print_comment(const void *values, const struct setting *row);
