/* rules: what holds for the messages of a channel where it is numbered, by its namespace.
 *
 *   namespace ─┐
 *   hub_config ┴─► struct hub_rules, one for each namespace, made with the set
 *
 * Threads  Made before the hubs, read-only afterwards.
 * Memory   In the set. A channel has the index of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/namespaces.h"

struct hub_config;

enum {
    HUB_RULES_MAX = 1 + NAMESPACES_MAX,
};

struct hub_rules {
    uint32_t messages_max; /* 0 keeps none */
    uint64_t bytes_max;
    int64_t age_ns;
    bool recovery;
    bool latest_state; /* messages_max is 1 at most */
    bool ephemeral;    /* no message is kept, or has an offset */
    uint32_t publishes_per_s;
    enum deltas delta;
};

/* Writes the rules of the config's namespaces, by their index: at least those of the channels
 * without one. Returns how many. */
unsigned hub_rules_make(struct hub_rules ret[HUB_RULES_MAX], const struct hub_config *config);
