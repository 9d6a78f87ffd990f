/* sizes: how many shards and connections there are, where the settings leave it to the machine.
 *
 * Threads  main's, before the shards start.
 * Bounds   The cores that may be used, memory and the quota of the control group, and what the
 *          engine can have.
 * Errors   -EINVAL with a sentence in `why`. */
#pragma once

#include <stddef.h>

#include "conf/settings.h"
#include "engine.h"

/* Sets `shards` and `max_connections` where they are 0, and lowers what the engine cannot have,
 * which it says on stderr. Fills `cpus`, of CPUS_MAX, and returns to how many of them the shards
 * are to be pinned; 0: to none. */
int sizes_choose(struct settings *settings, const struct engine *engine, int cpus[], char *why,
                 size_t why_size);
