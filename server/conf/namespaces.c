#include "conf/namespaces.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/rows.h"

#define ROW(type, name, fallback, low, high, unit, reason)                                         \
    ROW_OF(struct namespace, type, name, low, high, unit, reason),
static const struct setting table[] = {NAMESPACE_TABLE(ROW)};
enum {
    TABLE_ROWS = sizeof table / sizeof table[0],
};
static_assert(TABLE_ROWS <= 32, "a bit for each");

#define SECTION "namespace"

void namespaces_default(struct namespaces *namespaces)
{
#define FALLBACK(type, name, fallback, ...) .name = fallback,
    namespaces->count = 1;
    namespaces->list[0] = (struct namespace){NAMESPACE_TABLE(FALLBACK)};
}

bool namespaces_section(const char *section, struct span *ret_name)
{
    size_t len = strlen(SECTION);
    if (strncmp(section, SECTION, len) != 0 || (section[len] != '\0' && section[len] != ' '))
        return false;
    section += len;
    *ret_name = span_from(section + strspn(section, " "));
    return true;
}

static struct namespace *find(struct namespaces *namespaces, struct span name)
{
    for (unsigned i = 0; i < namespaces->count; i++) {
        struct namespace *one = &namespaces->list[i];
        if (span_equal(span_of(one->name, one->name_len), name))
            return one;
    }
    return NULL;
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || strchr("#,\"\\", name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= NAMESPACE_NAME_MAX && name.ptr[name.len - 1] != ':';
}

static struct namespace *find_or_make(struct namespaces *namespaces, struct span name, char *why,
                                      size_t why_size)
{
    struct namespace *one = find(namespaces, name);
    if (one)
        return one;
    if (!is_name(name) || namespaces->count > NAMESPACES_MAX) {
        snprintf(why, why_size,
                 "[namespace %.*s]: a namespace has a name of 1 to %d characters of those that "
                 "channels have, and no ':' behind it; there are at most %d",
                 (int)name.len, name.ptr, NAMESPACE_NAME_MAX, NAMESPACES_MAX);
        return NULL;
    }
    one = &namespaces->list[namespaces->count];
    *one = namespaces->list[0];
    one->set = 0;
    one->index = (uint8_t)namespaces->count++;
    one->name_len = (uint8_t)name.len;
    memcpy(one->name, name.ptr, name.len);
    return one;
}

static int row_named(const char *key)
{
    for (int i = 0; i < TABLE_ROWS; i++)
        if (strcmp(table[i].name, key) == 0)
            return i;
    return -ENOENT;
}

int namespaces_set(struct namespaces *namespaces, struct span name, const char *key,
                   const char *value, char *why, size_t why_size)
{
    int row = row_named(key);
    if (row < 0) {
        snprintf(why, why_size, "a namespace has nothing named %s; --help-config lists it", key);
        return -EINVAL;
    }
    struct namespace *one = find_or_make(namespaces, name, why, why_size);
    if (!one)
        return -EINVAL;
    int err = row_set(one, &table[row], value, why, why_size);
    if (err < 0)
        return err;
    one->set |= 1U << row;
    for (unsigned i = 1; i < namespaces->count && one->index == 0; i++)
        if (!(namespaces->list[i].set >> row & 1))
            row_copy(&namespaces->list[i], one, &table[row]);
    return 0;
}

const struct namespace *namespace_of(const struct namespaces *namespaces, struct span channel)
{
    const struct namespace *best = &namespaces->list[0];
    for (unsigned i = 1; i < namespaces->count; i++) {
        const struct namespace *one = &namespaces->list[i];
        if (one->name_len < channel.len && one->name_len > best->name_len &&
            channel.ptr[one->name_len] == ':' && memcmp(one->name, channel.ptr, one->name_len) == 0)
            best = one;
    }
    return best;
}

bool namespace_is_limited(const struct namespace *namespace, struct span channel)
{
    return namespace->user_limited && memchr(channel.ptr, '#', channel.len);
}

bool namespace_lets_user(const struct namespace *namespace, struct span channel, struct span user)
{
    if (!namespace_is_limited(namespace, channel))
        return true;
    const char *mark = memrchr(channel.ptr, '#', channel.len);
    struct span users = span_skip(channel, (size_t)(mark - channel.ptr) + 1);
    while (user.len > 0 && users.len > 0) {
        const char *comma = memchr(users.ptr, ',', users.len);
        struct span one = {users.ptr, comma ? (size_t)(comma - users.ptr) : users.len};
        if (span_equal(one, user))
            return true;
        users = span_skip(users, one.len + (comma != NULL));
    }
    return false;
}

static bool wants_token(enum who who)
{
    return who == WHO_SIGNED_ON || who == WHO_SUBSCRIBER;
}

/* The hook of which it wants to ask and cannot, or NULL. */
static const char *unasked(const struct namespace *one, const struct namespaces_have *have)
{
    if (one->proxy_subscribe && !have->subscribe)
        return "proxy_subscribe";
    if (one->proxy_publish && !have->publish)
        return "proxy_publish";
    return one->proxy_sub_refresh && !have->sub_refresh ? "proxy_sub_refresh" : NULL;
}

int namespaces_check(const struct namespaces *namespaces, const struct namespaces_have *have,
                     char *why, size_t why_size)
{
    for (unsigned i = 0; i < namespaces->count; i++) {
        const struct namespace *one = &namespaces->list[i];
        const char *hook = unasked(one, have);
        if (!hook)
            continue;
        snprintf(why, why_size,
                 "[" SECTION "%s%.*s] %s = on needs %s_endpoint, as http://127.0.0.1:8000/hook",
                 i > 0 ? " " : "", one->name_len, one->name, hook, hook);
        return -EINVAL;
    }
    for (unsigned i = 0; i < namespaces->count && !have->tokens; i++) {
        const struct namespace *one = &namespaces->list[i];
        if (!one->user_limited && !wants_token(one->allow_subscribe) &&
            one->allow_publish != WHO_SIGNED_ON)
            continue;
        snprintf(why, why_size,
                 "[" SECTION "%s%.*s] lets in who has a token, and without token_keys nobody has; "
                 "token_keys = HS256:file:/etc/ringside/hmac.key is one",
                 i > 0 ? " " : "", one->name_len, one->name);
        return -EINVAL;
    }
    return 0;
}

unsigned namespaces_warn(const struct namespaces *namespaces)
{
    unsigned found = 0;
    for (unsigned i = 0; i < namespaces->count; i++) {
        const struct namespace *one = &namespaces->list[i];
        const struct {
            const char *name;
            enum who who;
        } permissions[] = {
            {"allow_subscribe", one->allow_subscribe},
            {"allow_publish", one->allow_publish},
        };
        for (size_t k = 0; k < sizeof permissions / sizeof permissions[0]; k++) {
            if (permissions[k].who != WHO_SERVER)
                continue;
            fprintf(stderr,
                    "[" SECTION "%s%.*s] %s = server: nobody may, for without api_keys and "
                    "admin_listen nobody is one; api_keys = file:/etc/ringside/api.key is one\n",
                    i > 0 ? " " : "", one->name_len, one->name, permissions[k].name);
            found++;
        }
    }
    return found;
}

/* All of the one without a name; of the others what they set themselves. */
void namespaces_print(const struct namespaces *namespaces)
{
    printf("; What holds for channels: of all, and of those whose names begin with NAME: under\n"
           "; [namespace NAME]. What that does not set is as here.\n[" SECTION "]\n\n");
    for (unsigned i = 0; i < namespaces->count; i++) {
        const struct namespace *one = &namespaces->list[i];
        if (i > 0)
            printf("[" SECTION " %.*s]\n\n", one->name_len, one->name);
        for (int row = 0; row < TABLE_ROWS; row++)
            if (i == 0 || one->set >> row & 1)
                row_print(one, &table[row]);
    }
}
