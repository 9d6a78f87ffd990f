#include "http/origins.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"

struct origins {
    bool any;
    unsigned count;
    struct span names[SETTINGS_ORIGINS_MAX];
    struct span fields[SETTINGS_ORIGINS_MAX];
    char *list; /* what the names point into */
};

static int origin_add(struct origins *origins, char *name, char *why, size_t why_size)
{
    if (strcmp(name, "*") == 0) {
        origins->any = true;
        return 0;
    }
    if (origins->count == SETTINGS_ORIGINS_MAX) {
        snprintf(why, why_size, "allowed_origins: more than %d", SETTINGS_ORIGINS_MAX);
        return -EINVAL;
    }
    const char *host = strstr(name, "://");
    if (strcmp(name, "null") != 0 && (!host || strchr(host + 3, '/'))) {
        snprintf(why, why_size, "allowed_origins: %s is not an origin such as https://example.org",
                 name);
        return -EINVAL;
    }
    char *fields;
    int len = asprintf(&fields, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n", name);
    assert(len > 0);
    origins->names[origins->count] = span_from(name);
    origins->fields[origins->count++] = span_of(fields, (size_t)len);
    return 0;
}

int origins_create(struct origins **ret, const char *list, char *why, size_t why_size)
{
    struct origins *origins = calloc(1, sizeof *origins);
    assert(origins);
    origins->list = strdup(list);
    assert(origins->list);
    char *rest = origins->list;
    for (char *name; (name = strsep(&rest, " ")) != NULL;) {
        int err = *name ? origin_add(origins, name, why, why_size) : 0;
        if (err < 0) {
            origins_free(origins);
            return err;
        }
    }
    *ret = origins;
    return 0;
}

void origins_free(struct origins *origins)
{
    if (!origins)
        return;
    for (unsigned i = 0; i < origins->count; i++)
        free((char *)origins->fields[i].ptr);
    free(origins->list);
    free(origins);
}

bool origins_any(const struct origins *origins)
{
    return origins->any;
}

enum origin_verdict origins_check(const struct origins *origins, const struct http_request *request,
                                  uint8_t *ret)
{
    *ret = 0;
    const struct http_field *field = http_field_find(&request->fields, SPAN("Origin"));
    if (!field)
        return ORIGIN_NONE;
    if (origins && origins->any)
        return ORIGIN_ALLOWED;
    for (unsigned i = 0; origins && i < origins->count; i++) {
        if (span_equal_nocase(origins->names[i], field->value)) {
            *ret = (uint8_t)(i + 1);
            return ORIGIN_ALLOWED;
        }
    }
    return ORIGIN_REFUSED;
}

bool origin_is_own(const struct http_request *request)
{
    static const char scheme[] = "http://";
    const struct http_field *origin = http_field_find(&request->fields, SPAN("Origin"));
    const struct http_field *host = http_field_find(&request->fields, SPAN("Host"));
    if (!origin || !host || origin->value.len < strlen(scheme) ||
        memcmp(origin->value.ptr, scheme, strlen(scheme)) != 0)
        return false;
    return span_equal_nocase(span_skip(origin->value, strlen(scheme)), host->value);
}

struct span origins_fields(const struct origins *origins, uint8_t origin)
{
    if (!origins)
        return (struct span){0};
    if (origins->any)
        return SPAN("Access-Control-Allow-Origin: *\r\n");
    return origin > 0 ? origins->fields[origin - 1] : (struct span){0};
}
