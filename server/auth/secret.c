#include "auth/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/rows.h"

static int file_read(struct secret *ret, const char *path, char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : 0;
    ret->len = 0;
    while (fd >= 0 && ret->len < sizeof ret->bytes &&
           (len = read(fd, ret->bytes + ret->len, sizeof ret->bytes - ret->len)) > 0)
        ret->len += (size_t)len;
    int err = len < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (err < 0)
        snprintf(why, why_size, "%s: %s; the server's user must be able to read it", path,
                 strerror(-err));
    else if (ret->len == sizeof ret->bytes) {
        snprintf(why, why_size, "%s: is no key: it has %d bytes or more", path, SECRET_BYTES_MAX);
        err = -EINVAL;
    }
    return err;
}

static int environment_read(struct secret *ret, const char *name, char *why, size_t why_size)
{
    const char *value = getenv(name);
    if (!value || strlen(value) >= sizeof ret->bytes) {
        snprintf(why, why_size,
                 "env:%s: the environment has no such variable, or a longer one than "
                 "%d bytes",
                 name, SECRET_BYTES_MAX);
        return -EINVAL;
    }
    ret->len = strlen(value);
    memcpy(ret->bytes, value, ret->len);
    return 0;
}

bool secret_prefix_take(const char **text, const char *prefix)
{
    size_t len = strlen(prefix);
    bool has = strncmp(*text, prefix, len) == 0;
    if (has)
        *text += len;
    return has;
}

int secret_read(struct secret *ret, const char *source, char *why, size_t why_size)
{
    int err = -EINVAL;
    const char *where = source;
    if (secret_prefix_take(&where, "file:"))
        err = file_read(ret, where, why, why_size);
    else if (secret_prefix_take(&where, "env:"))
        err = environment_read(ret, where, why, why_size);
    else
        snprintf(why, why_size, "%s: a key stands in file:PATH or env:NAME, not in the settings",
                 source);
    while (err == 0 && ret->len > 0 && strchr("\r\n", ret->bytes[ret->len - 1]))
        ret->len--;
    return err;
}

int secret_each(const char *list, secret_use *use, void *context, char *why, size_t why_size)
{
    char item[SETTINGS_TEXT_MAX];
    struct secret secret;
    int err = 0;
    for (const char *at = list + strspn(list, " "); *at != '\0' && err == 0;) {
        size_t len = strcspn(at, " ");
        if (len >= sizeof item) {
            snprintf(why, why_size, "a key's source has more than %zu bytes", sizeof item - 1);
            return -EINVAL;
        }
        memcpy(item, at, len);
        item[len] = '\0';
        err = use(context, item, &secret, why, why_size);
        explicit_bzero(&secret, sizeof secret);
        at += len;
        at += strspn(at, " ");
    }
    return err;
}
