/* broker_config: which engine the settings name, and how to reach it.
 *
 * Threads  one.
 * Memory   The engine is the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_ops;
struct settings;

enum {
    BROKER_WHERE_MAX = 320,
};

struct broker_choice {
    const struct engine_ops *ops;
    void *engine; /* NULL: this node is by itself */
    bool required;
    char where[BROKER_WHERE_MAX];
};

/* Makes the engine; it is not connected yet. Returns 0, or negative errno and a sentence. */
int broker_choose(struct broker_choice *ret, const struct settings *settings, uint64_t seed,
                  char *why, size_t why_size);
