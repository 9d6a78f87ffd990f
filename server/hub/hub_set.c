/* hub_set: what the hubs of all shards share, and the names of channels. */
#include "hub/hub_internal.h"

#include <stdlib.h>
#include <xxhash.h>

static_assert((int)HUB_SHARDS_MAX + HUB_HELPERS_MAX == LANE_PARTICIPANTS_MAX,
              "a lane for every pair");

/* Returns 0 or what one failed of; then none is left. */
static int doors_open(struct hub_set *set)
{
    int err = 0;
    for (unsigned i = 0; i < HUB_HELPERS_MAX; i++)
        set->doors[i].bell.fd = -1;
    for (unsigned i = 0; i < set->config.helpers && err == 0; i++)
        err = bell_init(&set->doors[i].bell);
    return err;
}

static void doors_close(struct hub_set *set)
{
    for (unsigned i = 0; i < HUB_HELPERS_MAX; i++)
        bell_done(&set->doors[i].bell);
}

struct hub_set *hub_set_create(const struct hub_config *config)
{
    assert(config->shards > 0 && config->shards <= HUB_SHARDS_MAX);
    assert(config->helpers <= HUB_HELPERS_MAX);
    struct hub_set *set = malloc(sizeof *set);
    if (!set)
        return NULL;
    unsigned participants = hub_participants(config);
    unsigned slots = config->lane_slots ? config->lane_slots : lane_slots(participants);
    *set = (struct hub_set){.config = *config, .slots = slots};
    set->rules_count = hub_rules_make(set->rules, config);
    int err = doors_open(set);
    set->broken = calloc(config->lines + 1, sizeof *set->broken);
    set->lanes = err == 0 && set->broken ? lane_set_create(participants, slots) : NULL;
    if (set->lanes)
        return set;
    free(set->broken);
    doors_close(set);
    free(set);
    return NULL;
}

bool hub_set_ring(struct hub_set *set, unsigned participant)
{
    if (participant < set->config.shards)
        return false;
    bell_ring(&set->doors[participant - set->config.shards].bell);
    return true;
}

/* What was sent and nobody took any more. */
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
    unsigned participants = hub_participants(&set->config);
    for (unsigned source = 0; source < participants; source++) {
        for (unsigned target = 0; target < participants; target++)
            lane_empty(set, source, target);
    }
    lane_set_free(set->lanes);
    doors_close(set);
    free(set->broken);
    free(set);
}

uint64_t hub_hash(const struct hub_set *set, const char *name, size_t len)
{
    return XXH3_64bits_withSeed(name, len, set->config.seed);
}

uint64_t hub_key_hash(const struct hub_set *set, const char *key, size_t len)
{
    uint64_t hash = XXH3_64bits_withSeed(key, len, set->config.broker ? 0 : set->config.seed);
    return hash != 0 ? hash : 1;
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
    case '#':
    case ',':
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
