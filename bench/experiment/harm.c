#include "experiment/harm.h"

#include <assert.h>
#include <stdlib.h>

struct harm *harm_create(void)
{
    struct harm *harm = calloc(1, sizeof *harm);
    assert(harm);
    harm->reasons = json_object();
    harm->recovered_ns = -1;
    return harm;
}

void harm_free(struct harm *harm)
{
    if (!harm)
        return;
    json_decref(harm->reasons);
    free(harm->said);
    free(harm);
}

static const char *bound_name(enum harm_bound bound)
{
    static const char *const names[HARM_BOUNDS] = {
        [HARM_ALIVE] = "alive",     [HARM_MEMORY] = "memory",       [HARM_LATENCY] = "p99",
        [HARM_CLOSED] = "closed",   [HARM_NEWCOMERS] = "newcomers", [HARM_RECOVERY] = "recovery",
        [HARM_UNNAMED] = "unnamed",
    };
    return names[bound];
}

uint64_t harm_calm_p99_ns(const struct harm *harm)
{
    const uint64_t before_ns = harm->p99_before_ns, after_ns = harm->p99_after_ns;
    if (before_ns == 0 || after_ns == 0)
        return before_ns + after_ns;
    return before_ns < after_ns ? before_ns : after_ns;
}

uint64_t harm_growth_bytes(const struct harm *harm)
{
    return harm->rss_peak > harm->rss_before ? harm->rss_peak - harm->rss_before : 0;
}

static void set(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* What is 0 was not measured. */
static void set_known(json_t *object, const char *name, uint64_t value)
{
    if (value > 0)
        set(object, name, value);
}

static json_t *broken_json(const struct harm *harm)
{
    json_t *list = json_array();
    for (int i = 0; i < HARM_BOUNDS; i++)
        if (harm->broken[i])
            json_array_append_new(list, json_string(bound_name((enum harm_bound)i)));
    return list;
}

static void set_server(json_t *object, const struct harm *harm)
{
    set_known(object, "rss_before_bytes", harm->rss_before);
    set_known(object, "rss_peak_bytes", harm->rss_peak);
    set_known(object, "rss_after_bytes", harm->rss_after);
    set(object, "bound_bytes", harm->bound_bytes);
    set(object, "tcp_bytes", harm->tcp_bytes);
    json_object_set_new(object, "cpu_calm", json_real(harm->cpu_calm));
    json_object_set_new(object, "cpu_during", json_real(harm->cpu_during));
    json_object_set(object, "reasons", harm->reasons);
    if (harm->ends_by)
        json_object_set_new(object, "ends_by", json_string(harm->ends_by));
    if (harm->said)
        json_object_set_new(object, "said", json_string(harm->said));
}

static void set_others(json_t *object, const struct harm *harm)
{
    set_known(object, "p50_before_ns", harm->p50_before_ns);
    set_known(object, "p99_before_ns", harm->p99_before_ns);
    set_known(object, "p50_ns", harm->p50_ns);
    set_known(object, "p99_ns", harm->p99_ns);
    set_known(object, "p50_after_ns", harm->p50_after_ns);
    set_known(object, "p99_after_ns", harm->p99_after_ns);
    set(object, "closed", harm->closed);
    set(object, "lost", harm->lost);
    set(object, "duplicate", harm->duplicate);
    set(object, "out_of_order", harm->out_of_order);
    set(object, "corrupt", harm->corrupt);
    set(object, "newcomers", harm->newcomers);
    set(object, "newcomers_served", harm->newcomers_served);
    set_known(object, "newcomer_slowest_ns", (uint64_t)harm->newcomer_slowest_ns);
    if (harm->recovered_ns >= 0)
        json_object_set_new(object, "recovered_s", json_real((double)harm->recovered_ns / 1e9));
}

json_t *harm_json(const struct harm *harm)
{
    json_t *object = json_pack("{s:s, s:b, s:o}", "about", harm->about, "alive",
                               !harm->broken[HARM_ALIVE], "broken", broken_json(harm));
    set(object, "attackers", harm->connections);
    set(object, "visits", harm->visits);
    set(object, "refused", harm->refused);
    set(object, "ended", harm->ended);
    set(object, "sent_bytes", harm->sent);
    set(object, "received_bytes", harm->received);
    json_object_set_new(object, "elapsed_s", json_real((double)harm->elapsed_ns / 1e9));
    json_object_set_new(object, "attacker_cpu_s", json_real((double)harm->attacker_cpu_ns / 1e9));
    json_object_set_new(object, "attacker_waited_s",
                        json_real((double)harm->attacker_waited_ns / 1e9));
    set_server(object, harm);
    set_others(object, harm);
    return object;
}
