/* below: files in the place of those of /proc. Include it before the .c under test: what that opens
 * by fopen or opendir is then looked for below a folder of the test's own.
 *
 *   below_put("/proc/meminfo", "MemTotal: …")      fopen("/proc/meminfo") reads it
 *
 * Threads  One.
 * Memory   the folder is removed by below_remove. */
#pragma once

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BELOW_PATH_MAX = 512,
};

static char below_root[] = "/tmp/below-XXXXXX";

static inline const char *below_path(char buf[BELOW_PATH_MAX], const char *path)
{
    int len = snprintf(buf, BELOW_PATH_MAX, "%s%s", below_root, path);
    assert(len > 0 && len < BELOW_PATH_MAX);
    return buf;
}

static inline FILE *below_fopen(const char *path, const char *mode)
{
    char buf[BELOW_PATH_MAX];
    return fopen(below_path(buf, path), mode);
}

static inline DIR *below_opendir(const char *path)
{
    char buf[BELOW_PATH_MAX];
    return opendir(below_path(buf, path));
}

static inline int below_unlink(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    return ftw->level > 0 ? remove(path) : 0;
}

/* All files go, the folder stays. */
static inline void below_clear(void)
{
    int err = nftw(below_root, below_unlink, 8, FTW_DEPTH | FTW_PHYS);
    assert(err == 0);
}

static inline void below_folders(char *path)
{
    for (char *slash = strchr(path + strlen(below_root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int err = mkdir(path, 0755);
        assert(err == 0 || errno == EEXIST);
        *slash = '/';
    }
}

/* Writes a whole file. */
static inline void below_put(const char *path, const char *text)
{
    char buf[BELOW_PATH_MAX];
    below_path(buf, path);
    below_folders(buf);
    FILE *file = fopen(buf, "we");
    assert(file);
    fputs(text, file);
    fclose(file);
}

/* Makes the folder; a cmocka group has it as its set-up. */
static inline int below_make(void **state)
{
    (void)state;
    return mkdtemp(below_root) ? 0 : -1;
}

static inline int below_remove(void **state)
{
    (void)state;
    below_clear();
    return rmdir(below_root);
}

/* Set-up of each test: nothing is left of the last one. */
static inline int below_fresh(void **state)
{
    (void)state;
    below_clear();
    return 0;
}

#define below_test(name) cmocka_unit_test_setup(name, below_fresh)

#define fopen(path, mode) below_fopen(path, mode)
#define opendir(path)     below_opendir(path)
