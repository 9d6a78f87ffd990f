#include "experiment/capacity_counters.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/fields.h"

enum {
    FILE_TEXT_MAX = 64 * 1024,
    METRICS_MAX = 64 * 1024,
    NAMES_MAX = 256, /* of one protocol; Linux 6.18 has 140 of TcpExt */
};

static const struct {
    enum counter_source source;
    const char *name;
} rows[COUNTER_COUNT] = {
#define CAPACITY_COUNTER_ROW(NAME, source, name) [COUNTER_##NAME] = {SOURCE_##source, name},
    CAPACITY_COUNTERS(CAPACITY_COUNTER_ROW)
#undef CAPACITY_COUNTER_ROW
};

const char *counter_name(enum capacity_counter counter, char text[COUNTER_NAME_MAX])
{
    static const char *const prefixes[] = {
        [SOURCE_NETSTAT] = "",
        [SOURCE_SNMP] = "",
        [SOURCE_SOFTNET] = "softnet_",
        [SOURCE_CLOSED] = "server:closed_",
        [SOURCE_REFUSED] = "server:refused_",
        [SOURCE_ACCEPTED] = "server:",
    };
    assert(counter < COUNTER_COUNT);
    snprintf(text, COUNTER_NAME_MAX, "%s%s", prefixes[rows[counter].source], rows[counter].name);
    return text;
}

static void take(struct capacity_counters *counters, enum counter_source source, const char *name,
                 uint64_t value)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        if (rows[i].source != source || strcmp(rows[i].name, name) != 0)
            continue;
        counters->values[i] = value;
        counters->known[i] = true;
    }
}

/* ---- the kernel's ---- */

/* "Tcp: Name Name …" and below it "Tcp: 1 2 …" */
void counters_take_pairs(struct capacity_counters *counters, enum counter_source source,
                         const char *protocol, char *text)
{
    char *names[NAMES_MAX], *values[NAMES_MAX], *state;
    size_t len = strlen(protocol);
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *below = strtok_r(NULL, "\n", &state);
        if (!below)
            return;
        if (strncmp(line, protocol, len) != 0 || line[len] != ':')
            continue;
        unsigned count = fields_split(line, names, NAMES_MAX);
        unsigned value_count = fields_split(below, values, NAMES_MAX);
        for (unsigned i = 1; i < count && i < value_count; i++) {
            uint64_t value;
            if (field_number(values[i], 10, &value))
                take(counters, source, names[i], value);
        }
    }
}

static void read_pairs(struct capacity_counters *counters, enum counter_source source,
                       const char *path, const char *protocol)
{
    char *text = malloc(FILE_TEXT_MAX);
    FILE *file = fopen(path, "re");
    assert(text);
    size_t len = file ? fread(text, 1, FILE_TEXT_MAX - 1, file) : 0;
    text[len] = '\0';
    counters_take_pairs(counters, source, protocol, text);
    if (file)
        fclose(file);
    free(text);
}

/* A line per CPU, in hexadecimal: processed, dropped, … */
static void read_softnet(struct capacity_counters *counters)
{
    enum {
        DROPPED = 1,
        FIELDS
    };
    char line[512], *fields[FIELDS];
    uint64_t sum = 0, value;
    FILE *file = fopen("/proc/net/softnet_stat", "re");
    while (file && fgets(line, sizeof line, file))
        if (fields_split(line, fields, FIELDS) == FIELDS &&
            field_number(fields[DROPPED], 16, &value))
            sum += value;
    if (!file)
        return;
    fclose(file);
    take(counters, SOURCE_SOFTNET, "dropped", sum);
}

/* ---- the server's ---- */

/* The value of the line that begins with `key` and a blank. */
static bool metric(const char *text, const char *key, uint64_t *ret)
{
    size_t len = strlen(key);
    for (const char *at = text; (at = strstr(at, key)); at += len) {
        if ((at == text || at[-1] == '\n') && at[len] == ' ') {
            *ret = strtoull(at + len + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

void counters_take_metrics(struct capacity_counters *counters, const char *text)
{
    static const char *const formats[] = {
        [SOURCE_CLOSED] = "ringside_connections_closed_total{reason=\"",
        [SOURCE_REFUSED] = "ringside_requests_refused_total{reason=\"",
        [SOURCE_ACCEPTED] = "ringside_",
    };
    for (int i = 0; i < COUNTER_COUNT; i++) {
        char key[128];
        enum counter_source source = rows[i].source;
        if (source < SOURCE_CLOSED)
            continue;
        snprintf(key, sizeof key, "%s%s%s", formats[source], rows[i].name,
                 source == SOURCE_ACCEPTED ? "_total" : "\"}");
        counters->known[i] = metric(text, key, &counters->values[i]);
        uint64_t streams = 0;
        snprintf(key, sizeof key, "ringside_streams_closed_total{reason=\"%s\"}", rows[i].name);
        if (source == SOURCE_CLOSED && metric(text, key, &streams))
            counters->values[i] += streams;
    }
}

static void read_metrics(struct capacity_counters *counters, struct http_get *get)
{
    char *text = malloc(METRICS_MAX);
    assert(text);
    if (http_get(get, "/metrics", text, METRICS_MAX) == 200)
        counters_take_metrics(counters, text);
    free(text);
}

/* ---- all ---- */

void counters_read(struct capacity_counters *ret, struct http_get *get)
{
    *ret = (struct capacity_counters){0};
    read_pairs(ret, SOURCE_NETSTAT, "/proc/net/netstat", "TcpExt");
    read_pairs(ret, SOURCE_SNMP, "/proc/net/snmp", "Tcp");
    read_softnet(ret);
    if (get)
        read_metrics(ret, get);
}

void counters_growth(struct capacity_counters *ret, const struct capacity_counters *before,
                     const struct capacity_counters *after)
{
    struct capacity_counters growth = {0};
    for (int i = 0; i < COUNTER_COUNT; i++) {
        growth.known[i] = before->known[i] && after->known[i];
        if (growth.known[i] && after->values[i] > before->values[i])
            growth.values[i] = after->values[i] - before->values[i];
    }
    *ret = growth;
}

json_t *counters_json(const struct capacity_counters *counters)
{
    char name[COUNTER_NAME_MAX];
    json_t *object = json_object();
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (counters->known[i])
            json_object_set_new(object, counter_name((enum capacity_counter)i, name),
                                json_integer((json_int_t)counters->values[i]));
    return object;
}
