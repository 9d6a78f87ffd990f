/* settings: those that an experiment gives a server of its own.
 *
 * Threads  any.
 * Memory   in place; the list points into it, so it stays where it is.
 * Bounds   SETTINGS_MAX, each of SETTING_MAX bytes. */
#pragma once

#include <stddef.h>

enum {
    SETTINGS_MAX = 8,
    SETTING_MAX = 64,
};

struct settings {
    char texts[SETTINGS_MAX][SETTING_MAX];
    const char *list[SETTINGS_MAX + 1]; /* as bench_server_start takes it */
    unsigned count;
};

/* One more, as "name=value". */
__attribute__((format(printf, 2, 3))) void settings_add(struct settings *settings,
                                                        const char *format, ...);
