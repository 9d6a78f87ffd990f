#include "experiment/reasons.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/fields.h"

enum {
    STATUS_OK = 200,
    NAME_MAX_BYTES = 64,
};

static const struct {
    const char *line, *prefix;
} families[] = {
    {"ringside_connections_closed_total{reason=\"", "closed"},
    {"ringside_streams_closed_total{reason=\"", "stream"},
    {"ringside_requests_refused_total{reason=\"", "refused"},
    {"ringside_http2_floods_total{kind=\"", "flood"},
    {"ringside_http2_errors_total{code=\"", "error"},
};

static void take(json_t *object, const char *line)
{
    const char *value = strrchr(line, ' ');
    char name[NAME_MAX_BYTES];
    uint64_t count;
    for (size_t i = 0; value && i < sizeof families / sizeof families[0]; i++) {
        const size_t len = strlen(families[i].line);
        if (strncmp(line, families[i].line, len) != 0 || !field_number(value + 1, 10, &count))
            continue;
        snprintf(name, sizeof name, "%s_%.*s", families[i].prefix, (int)strcspn(line + len, "\""),
                 line + len);
        json_object_set_new(object, name, json_integer((json_int_t)count));
    }
}

json_t *reasons_read(struct http_get *get)
{
    json_t *object = json_object();
    char *text = malloc(HTTP_GET_METRICS_MAX), *state;
    assert(text);
    int status = http_get(get, "/metrics", text, HTTP_GET_METRICS_MAX);
    char *line = status == STATUS_OK ? strtok_r(text, "\n", &state) : NULL;
    for (; line; line = strtok_r(NULL, "\n", &state))
        take(object, line);
    free(text);
    return object;
}

json_t *reasons_since(struct http_get *get, const json_t *before)
{
    json_t *grown = json_object(), *after = reasons_read(get), *count;
    const char *name;
    json_object_foreach(after, name, count)
    {
        json_int_t grew =
            json_integer_value(count) - json_integer_value(json_object_get(before, name));
        if (grew > 0)
            json_object_set_new(grown, name, json_integer(grew));
    }
    json_decref(after);
    return grown;
}
