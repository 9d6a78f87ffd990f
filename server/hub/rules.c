#include "hub/rules.h"

#include "hub/hub.h"

static struct hub_rules common(const struct hub_config *config)
{
    return (struct hub_rules){
        .messages_max = config->history_messages_max,
        .bytes_max = config->history_bytes_max,
        .age_ns = config->history_age_ns,
        .recovery = true,
        .delta = DELTAS_ASKED,
    };
}

static struct hub_rules of_namespace(const struct hub_config *config,
                                     const struct namespace *namespace)
{
    struct hub_rules rules = common(config);
    if (namespace->history_messages >= 0)
        rules.messages_max = (uint32_t) namespace->history_messages;
    if (namespace->history_bytes >= 0)
        rules.bytes_max = (uint64_t) namespace->history_bytes;
    if (namespace->history_age_ms >= 0)
        rules.age_ns = namespace->history_age_ms * 1000000;
    rules.recovery = namespace->recovery;
    rules.latest_state = namespace->latest_state;
    rules.ephemeral = namespace->ephemeral;
    rules.delta = namespace->delta;
    rules.publishes_per_s = (uint32_t) namespace->publishes_per_s;
    if (rules.latest_state && rules.messages_max > 1)
        rules.messages_max = 1;
    return rules;
}

unsigned hub_rules_make(struct hub_rules ret[HUB_RULES_MAX], const struct hub_config *config)
{
    const struct namespaces *namespaces = config->namespaces;
    ret[0] = common(config);
    for (unsigned i = 0; namespaces && i < namespaces->count; i++)
        ret[i] = of_namespace(config, &namespaces->list[i]);
    return namespaces ? namespaces->count : 1;
}
