#include "conf/settings.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/span.h"

enum setting_type {
    SETTING_NUMBER,
    SETTING_SWITCH,
    SETTING_TEXT,
    SETTING_LIST,
    SETTING_CHOICE,
    SETTING_POLICY = SETTING_CHOICE,
    SETTING_PUBLISH_ON = SETTING_CHOICE,
    SETTING_PROXY_HEADER = SETTING_CHOICE,
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

#define ROW(row_type, row_name, fallback, low, high, row_unit, row_reason)                         \
    {.name = #row_name,                                                                            \
     .type = SETTING_##row_type,                                                                   \
     .at = offsetof(struct settings, row_name),                                                    \
     .minimum = (low),                                                                             \
     .maximum = (high),                                                                            \
     .unit = (row_unit),                                                                           \
     .reason = (row_reason)},
#define HEADING(name) {.section = (name)},

static const struct setting table[] = {SETTINGS_TABLE(ROW, HEADING)};
enum {
    TABLE_ROWS = sizeof table / sizeof table[0],
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

void settings_default(struct settings *settings)
{
#define FALLBACK(type, name, fallback, ...) .name = fallback,
    *settings = (struct settings){SETTINGS_TABLE(FALLBACK, SETTINGS_NO_SECTION)};
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

static int row_set(struct settings *settings, const struct setting *row, const char *value,
                   char *why, size_t why_size)
{
    void *field = (char *)settings + row->at;
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

static const struct setting *row_named(const char *name, char *why, size_t why_size)
{
    for (int i = 0; i < TABLE_ROWS; i++)
        if (table[i].name && strcmp(table[i].name, name) == 0)
            return &table[i];
    snprintf(why, why_size, "there is no setting named %s; --help-config lists them", name);
    return NULL;
}

int settings_set(struct settings *settings, const char *name, const char *value, char *why,
                 size_t why_size)
{
    const struct setting *row = row_named(name, why, why_size);
    return row ? row_set(settings, row, value, why, why_size) : -EINVAL;
}

/* inih takes lines of no more than 200 bytes, so a list has several. */
static int list_add(struct settings *settings, const struct setting *row, const char *value,
                    char *why, size_t why_size)
{
    const char *so_far = (const char *)settings + row->at;
    char longer[2 * SETTINGS_LIST_MAX];
    snprintf(longer, sizeof longer, "%s %s", so_far, value);
    return row_set(settings, row, longer, why, why_size);
}

struct reading {
    struct settings *settings;
    bool seen[TABLE_ROWS]; /* in this file */
    char *why;
    size_t why_size;
};

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    (void)section;
    struct reading *reading = user;
    if (reading->why[0] != '\0')
        return 0;
    const struct setting *row = row_named(name, reading->why, reading->why_size);
    if (!row)
        return 0;
    bool adds = row->type == SETTING_LIST && reading->seen[row - table];
    reading->seen[row - table] = true;
    return (adds ? list_add : row_set)(reading->settings, row, value, reading->why,
                                       reading->why_size) == 0;
}

int settings_read(struct settings *settings, const char *path, char *why, size_t why_size)
{
    char reason[512] = "";
    struct reading reading = {.settings = settings, .why = reason, .why_size = sizeof reason};
    int line = ini_parse(path, take_line, &reading);
    if (line == 0)
        return 0;
    if (line < 0)
        snprintf(why, why_size, "%s: %s", path, line == -1 ? strerror(errno) : "memory is out");
    else if (reason[0] != '\0')
        snprintf(why, why_size, "%s:%d: %s", path, line, reason);
    else
        snprintf(why, why_size, "%s:%d: not a line of the form name = value", path, line);
    return -EINVAL;
}

int settings_check(const struct settings *settings, char *why, size_t why_size)
{
    if (settings->max_connections > 0 && settings->shards > settings->max_connections) {
        snprintf(why, why_size,
                 "max_connections = %" PRId64 " is less than one for each of %" PRId64 " shards",
                 settings->max_connections, settings->shards);
        return -EINVAL;
    }
    if (settings->listen[0] == '\0' && settings->tls_listen[0] == '\0') {
        snprintf(why, why_size, "listen and tls_listen are both empty: nobody could connect");
        return -EINVAL;
    }
    if (settings->publish_on == PUBLISH_ON_ADMIN && settings->admin_listen[0] == '\0') {
        snprintf(why, why_size,
                 "publish_on = admin needs admin_listen, as 127.0.0.1:9090; none takes no messages "
                 "from anybody");
        return -EINVAL;
    }
    if (settings->publish_on != PUBLISH_ON_ALL && settings->websocket_publish) {
        snprintf(why, why_size,
                 "websocket_publish = on needs publish_on = all: WebSockets come where clients do");
        return -EINVAL;
    }
    if (settings->message_bytes_max > settings->input_total_bytes_max) {
        snprintf(why, why_size,
                 "message_bytes_max = %" PRId64 " is more than input_total_bytes_max = %" PRId64
                 ": none of that size could come whole",
                 settings->message_bytes_max, settings->input_total_bytes_max);
        return -EINVAL;
    }
    if (settings->tls_listen[0] != '\0' && settings->tls_certificates[0] == '\0') {
        snprintf(why, why_size,
                 "tls_listen = %s needs tls_certificates = chain.pem:key.pem; `./build.sh run "
                 "--tls` makes a certificate for development",
                 settings->tls_listen);
        return -EINVAL;
    }
    return 0;
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

static void print_value(const struct settings *settings, const struct setting *row)
{
    const void *field = (const char *)settings + row->at;
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

void settings_print(const struct settings *settings)
{
    for (int i = 0; i < TABLE_ROWS; i++) {
        const struct setting *row = &table[i];
        if (row->section) {
            printf("[%s]\n\n", row->section);
            continue;
        }
        printf("; %s\n; Unit: %s", row->reason, row->unit);
        if (row->type == SETTING_NUMBER)
            printf("; from %" PRId64 " to %" PRId64, row->minimum, row->maximum);
        putchar('\n');
        print_value(settings, row);
    }
}
