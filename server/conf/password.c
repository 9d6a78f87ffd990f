#include "conf/password.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int file_read(char *ret, size_t size, const char *name, const char *path, char *why,
                     size_t why_size)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(ret, 1, size - 1, file) : 0;
    ret[len] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    if (file)
        fclose(file);
    if (ret[0] != '\0')
        return 0;
    snprintf(why, why_size, "%s_password = file:%s: cannot be read, or is empty", name, path);
    return -EINVAL;
}

int password_read(char *ret, size_t size, const char *name, const char *text, char *why,
                  size_t why_size)
{
    static const char from_file[] = "file:", from_env[] = "env:";
    ret[0] = '\0';
    if (text[0] == '\0')
        return 0;
    if (strncmp(text, from_file, strlen(from_file)) == 0)
        return file_read(ret, size, name, text + strlen(from_file), why, why_size);
    const char *value =
        strncmp(text, from_env, strlen(from_env)) == 0 ? getenv(text + strlen(from_env)) : NULL;
    if (!value || value[0] == '\0' || strlen(value) >= size) {
        snprintf(why, why_size,
                 "%s_password: needs file:PATH or env:NAME, and the password to stand there", name);
        return -EINVAL;
    }
    memcpy(ret, value, strlen(value) + 1);
    return 0;
}
