/* hub_set: what the hubs of all shards share, and the names of channels. */
#include "hub/hub_internal.h"

#include <stdlib.h>
#include <xxhash.h>

static_assert(HUB_SHARDS_MAX == (int)LANE_SHARDS_MAX, "a lane for every pair of shards");

struct hub_set *hub_set_create(const struct hub_config *config)
{
    assert(config->shards > 0 && config->shards <= HUB_SHARDS_MAX);
    struct hub_set *set = malloc(sizeof *set);
    if (!set)
        return NULL;
    unsigned slots = config->lane_slots ? config->lane_slots : lane_slots(config->shards);
    *set = (struct hub_set){
        .config = *config,
        .lanes = lane_set_create(config->shards, slots),
        .slots = slots,
    };
    if (!set->lanes) {
        free(set);
        return NULL;
    }
    return set;
}

/* What a hub had sent and nobody took any more. */
static void lane_empty(struct hub_set *set, unsigned source, unsigned target)
{
    struct item item;
    bool wake;
    lane_flush(set->lanes, source, target);
    while (lane_pop(set->lanes, source, target, &item, 1, &wake) > 0)
        item_release(&item);
}

void hub_set_free(struct hub_set *set)
{
    if (!set)
        return;
    for (unsigned source = 0; source < set->config.shards; source++) {
        for (unsigned target = 0; target < set->config.shards; target++)
            lane_empty(set, source, target);
    }
    lane_set_free(set->lanes);
    free(set);
}

uint64_t hub_hash(const struct hub_set *set, const char *name, size_t len)
{
    return XXH3_64bits_withSeed(name, len, set->config.seed);
}

static bool name_byte_valid(unsigned char byte)
{
    switch (byte) {
    case 'A' ... 'Z':
    case 'a' ... 'z':
    case '0' ... '9':
    case '-':
    case '_':
    case '.':
    case ':':
    case '/':
    case '@':
        return true;
    default:
        return false;
    }
}

bool hub_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > CHANNEL_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!name_byte_valid((unsigned char)name[i]))
            return false;
    }
    return true;
}
