#include "conf/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROW(type, name, fallback, low, high, unit, reason)                                         \
    ROW_OF(struct hook, type, name, low, high, unit, reason),
static const struct setting table[] = {HOOK_TABLE(ROW)};
enum {
    TABLE_ROWS = sizeof table / sizeof table[0],
};

#define SECTION                             "hook "
#define FALLBACK(type, name, fallback, ...) .name = fallback,

bool hooks_section(const char *section, struct span *ret_name)
{
    size_t len = strlen(SECTION);
    if (strncmp(section, SECTION, len) != 0)
        return false;
    *ret_name = span_from(section + len + strspn(section + len, " "));
    return true;
}

const struct hook *hooks_find(const struct hooks *hooks, struct span name)
{
    for (unsigned i = 0; i < hooks->count; i++)
        if (span_equal(span_of(hooks->list[i].name, hooks->list[i].name_len), name))
            return &hooks->list[i];
    return NULL;
}

/* What stands in a URL for itself. */
static bool is_name(struct span name)
{
    static const char *const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_.";
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == '\0' || !strchr(allowed, name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= HOOK_NAME_MAX;
}

static struct hook *find_or_make(struct hooks *hooks, struct span name, char *why, size_t why_size)
{
    const struct hook *found = hooks_find(hooks, name);
    if (found)
        return &hooks->list[found->index];
    if (!is_name(name) || hooks->count == HOOKS_MAX) {
        snprintf(why, why_size,
                 "[" SECTION "%.*s]: a webhook has a name of 1 to %d of A-Z a-z 0-9 - _ . and "
                 "there are at most %d",
                 (int)name.len, name.ptr, HOOK_NAME_MAX, HOOKS_MAX);
        return NULL;
    }
    struct hook *hook = &hooks->list[hooks->count];
    *hook = (struct hook){HOOK_TABLE(FALLBACK)};
    hook->index = (uint8_t)hooks->count++;
    hook->name_len = (uint8_t)name.len;
    memcpy(hook->name, name.ptr, name.len);
    return hook;
}

int hooks_set(struct hooks *hooks, struct span name, const char *key, const char *value, char *why,
              size_t why_size)
{
    for (int i = 0; i < TABLE_ROWS; i++) {
        if (strcmp(table[i].name, key) != 0)
            continue;
        struct hook *hook = find_or_make(hooks, name, why, why_size);
        return hook ? row_set(hook, &table[i], value, why, why_size) : -EINVAL;
    }
    snprintf(why, why_size, "a webhook has nothing named %s; --help-config lists it", key);
    return -EINVAL;
}

int hooks_check(const struct hooks *hooks, int64_t ids_s, char *why, size_t why_size)
{
    for (unsigned i = 0; i < hooks->count; i++) {
        const struct hook *hook = &hooks->list[i];
        const char *missing = hook->secrets[0] == '\0' ? "secrets = file:/etc/ringside/hook.secret"
                              : hook->channel[0] == '\0' ? "channel = shop:events"
                                                         : NULL;
        if (missing) {
            snprintf(why, why_size, "[" SECTION "%.*s] needs %s", hook->name_len, hook->name,
                     missing);
            return -EINVAL;
        }
        if (hook->scheme != HOOK_GITHUB && 2 * hook->tolerance_s >= ids_s) {
            snprintf(why, why_size,
                     "[" SECTION "%.*s] tolerance_s = %" PRId64
                     " needs webhook_ids_s above %" PRId64
                     ": else one could be sent again when its id is forgotten",
                     hook->name_len, hook->name, hook->tolerance_s, 2 * hook->tolerance_s);
            return -EINVAL;
        }
    }
    return 0;
}

void hooks_print(const struct hooks *hooks)
{
    static const struct hook fallback = {HOOK_TABLE(FALLBACK)};
    printf("; Webhooks that are received at POST /hook/NAME, each in a section [" SECTION
           "NAME] with these:\n;\n");
    for (int row = 0; row < TABLE_ROWS; row++)
        row_print_comment(&fallback, &table[row]);
    for (unsigned i = 0; i < hooks->count; i++) {
        printf("[" SECTION "%.*s]\n\n", hooks->list[i].name_len, hooks->list[i].name);
        for (int row = 0; row < TABLE_ROWS; row++)
            row_print(&hooks->list[i], &table[row]);
    }
}
