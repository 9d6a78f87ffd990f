#include "conf/settings.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/rows.h"
#include "wire/span.h"

#define ROW(type, name, fallback, low, high, unit, reason)                                         \
    ROW_OF(struct settings, type, name, low, high, unit, reason),
#define HEADING(name) {.section = (name)},

static const struct setting table[] = {SETTINGS_TABLE(ROW, HEADING)};
enum {
    TABLE_ROWS = sizeof table / sizeof table[0],
};

void settings_default(struct settings *settings)
{
#define FALLBACK(type, name, fallback, ...) .name = fallback,
    *settings = (struct settings){SETTINGS_TABLE(FALLBACK, SETTINGS_NO_SECTION)};
    namespaces_default(&settings->namespaces);
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
    static const char webhook[] = "/hook/";
    const char *colon = strrchr(name, ':');
    if (colon && strncmp(name, webhook, sizeof webhook - 1) == 0) {
        const char *of = name + sizeof webhook - 1;
        return hooks_set(&settings->hooks, span_of(of, (size_t)(colon - of)), colon + 1, value, why,
                         why_size);
    }
    if (colon)
        return namespaces_set(&settings->namespaces, span_of(name, (size_t)(colon - name)),
                              colon + 1, value, why, why_size);
    const struct setting *row = row_named(name, why, why_size);
    return row ? row_set(settings, row, value, why, why_size) : -EINVAL;
}

/* inih takes lines of no more than 200 bytes, so a list has several. */
static int list_add(void *values, const struct setting *row, const char *value, char *why,
                    size_t why_size)
{
    const char *so_far = (const char *)values + row->at;
    char longer[2 * SETTINGS_LIST_MAX];
    snprintf(longer, sizeof longer, "%s %s", so_far, value);
    return row_set(values, row, longer, why, why_size);
}

struct reading {
    struct settings *settings;
    bool seen[TABLE_ROWS]; /* in this file */
    char *why;
    size_t why_size;
};

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    struct span prefix;
    if (reading->why[0] != '\0')
        return 0;
    if (namespaces_section(section, &prefix))
        return namespaces_set(&reading->settings->namespaces, prefix, name, value, reading->why,
                              reading->why_size) == 0;
    if (hooks_section(section, &prefix))
        return hooks_set(&reading->settings->hooks, prefix, name, value, reading->why,
                         reading->why_size) == 0;
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

/* Fields that say how a message travels, and not what it is: a question has its own. */
static int passed_on_check(const char *list, char *why, size_t why_size)
{
    static const struct span own[] = {
        SPAN_INIT("connection"),   SPAN_INIT("content-length"),
        SPAN_INIT("content-type"), SPAN_INIT("expect"),
        SPAN_INIT("host"),         SPAN_INIT("keep-alive"),
        SPAN_INIT("te"),           SPAN_INIT("transfer-encoding"),
        SPAN_INIT("upgrade"),
    };
    for (const char *at = list + strspn(list, " "); *at != '\0'; at += strspn(at, " ")) {
        struct span name = {at, strcspn(at, " ")};
        at += name.len;
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
            if (!span_equal_nocase(name, own[i]))
                continue;
            snprintf(why, why_size, "proxy_http_headers: a question has a %.*s of its own",
                     (int)name.len, name.ptr);
            return -EINVAL;
        }
    }
    return 0;
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
    if (settings->http2_push[0] != '\0' && settings->http2_push[0] != '/') {
        snprintf(why, why_size, "http2_push = %s: a path of this server is wanted, as %s",
                 settings->http2_push, "/poll?channel=news");
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
    if (!settings->anonymous && settings->token_keys[0] == '\0') {
        snprintf(why, why_size,
                 "anonymous = off needs token_keys, as HS256:file:/etc/ringside/hmac.key: else "
                 "nobody could have a token");
        return -EINVAL;
    }
    const struct namespaces_have have = {
        .tokens = settings->token_keys[0] != '\0',
        .subscribe = settings->proxy_subscribe_endpoint[0] != '\0',
        .publish = settings->proxy_publish_endpoint[0] != '\0',
        .sub_refresh = settings->proxy_sub_refresh_endpoint[0] != '\0',
    };
    if (namespaces_check(&settings->namespaces, &have, why, why_size) < 0)
        return -EINVAL;
    if (settings->proxy_connect_endpoint[0] != '\0' &&
        settings->proxy_timeout_ms >= settings->head_timeout_ms) {
        snprintf(why, why_size,
                 "proxy_timeout_ms = %" PRId64 " needs head_timeout_ms above it: a session must be "
                 "connected by then",
                 settings->proxy_timeout_ms);
        return -EINVAL;
    }
    if (passed_on_check(settings->proxy_http_headers, why, why_size) < 0)
        return -EINVAL;
    if (hooks_check(&settings->hooks, settings->webhook_ids_s, why, why_size) < 0)
        return -EINVAL;
    if (settings->tls_listen[0] != '\0' && settings->tls_certificates[0] == '\0') {
        snprintf(why, why_size,
                 "tls_listen = %s needs tls_certificates = chain.pem:key.pem; `./build.sh run "
                 "--tls` makes a certificate for development",
                 settings->tls_listen);
        return -EINVAL;
    }
    return 0;
}

void settings_print(const struct settings *settings)
{
    for (int i = 0; i < TABLE_ROWS; i++) {
        const struct setting *row = &table[i];
        if (row->section) {
            printf("[%s]\n\n", row->section);
            continue;
        }
        row_print(settings, row);
    }
    namespaces_print(&settings->namespaces);
    hooks_print(&settings->hooks);
}
