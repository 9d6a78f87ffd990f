#include "sizes.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/cpus.h"
#include "conf/machine.h"
#include "hub/hub.h"

enum {
    MAX_CONNECTIONS_DEFAULT = 100000, /* when the machine does not say how much memory it has */
    BYTES_PER_CONNECTION = 6144, /* kernel and user memory of one idle connection, with slack */
    MAX_CONNECTIONS_MAX = 16000000,
};

static int64_t connections_default(void)
{
    uint64_t memory = machine_memory("");
    if (memory == 0)
        return MAX_CONNECTIONS_DEFAULT;
    /* Half of the memory: the other half is for what is sent, and for everybody else. */
    int64_t fit = (int64_t)(memory / 2 / BYTES_PER_CONNECTION);
    return fit < 1 ? 1 : fit < MAX_CONNECTIONS_MAX ? fit : MAX_CONNECTIONS_MAX;
}

/* As many as memory and the engine hold; what was asked for beyond that is said. */
static void size_connections(struct settings *settings, const struct engine *engine)
{
    unsigned shards = (unsigned)settings->shards;
    uint64_t most = engine_connections_max(engine, shards);
    uint64_t wanted = (uint64_t)settings->max_connections;
    if (wanted == 0)
        wanted = (uint64_t)connections_default();
    else if (wanted > most)
        fprintf(stderr,
                "ringside-server: max_connections = %" PRIu64 " is more than %s can have with "
                "%" PRIu64 " descriptors, and is lowered to %" PRIu64 "; `ulimit -n %" PRIu64
                "` (systemd: LimitNOFILE=) would do\n",
                wanted, engine->name, engine->descriptors, most,
                engine_descriptors_needed(wanted, shards));
    settings->max_connections = (int64_t)(wanted < most ? wanted : most);
}

/* One for each core, or for each that the control group's quota amounts to. */
static void size_shards(struct settings *settings, int cpu_count)
{
    uint32_t quota = machine_group_cpus("");
    if (settings->shards != 0)
        return;
    settings->shards = cpu_count > HUB_SHARDS_MAX ? HUB_SHARDS_MAX : cpu_count;
    if (quota < settings->shards)
        settings->shards = quota;
}

/* Fewer threads than cores are not nailed to the first ones unasked: somebody else may be there. */
static int cpus_to_pin(const struct settings *settings, int cpu_count)
{
    return settings->cpus[0] == '\0' && settings->shards < cpu_count ? 0 : cpu_count;
}

int sizes_choose(struct settings *settings, const struct engine *engine, int cpus[], char *why,
                 size_t why_size)
{
    int count = cpus_read(cpus, settings->cpus, why, why_size);
    if (count < 0)
        return count;
    size_shards(settings, count);
    size_connections(settings, engine);
    return cpus_to_pin(settings, count);
}
