#include "experiment/abuse_verdict.h"

#include "experiment/harm.h"
#include "measure/clock.h"

static const double NOTICED = 1.5;
static const double UNNOTICED_NS = 5e6; /* a p99 below it is nobody's complaint */
static const int64_t RECOVERED_NS = (int64_t)5 * NS_PER_S;

enum {
    UNSERVED_FROM = 2, /* newcomers: one may have come at a bad moment */
    KEPT_PART = 4,     /* a quarter of what memory grew may stay: allocators give back late */
};

static bool is_noticed(uint64_t p99_ns, uint64_t calm_ns)
{
    return p99_ns == 0 ||
           ((double)p99_ns > NOTICED * (double)calm_ns && (double)p99_ns > UNNOTICED_NS);
}

bool abuse_is_calm(const struct attack *attack, const struct harm *harm, uint64_t p99_ns)
{
    const uint64_t most =
        harm->rss_before + ATTACK_SLACK_BYTES + attack->keeps + harm_growth_bytes(harm) / KEPT_PART;
    return !is_noticed(p99_ns, harm->p99_before_ns) && harm->rss_after <= most;
}

void abuse_judge(const struct attack *attack, struct harm *harm, bool died)
{
    const uint64_t unserved = harm->newcomers - harm->newcomers_served;
    harm->broken[HARM_ALIVE] = died;
    harm->broken[HARM_MEMORY] = harm_growth_bytes(harm) > harm->bound_bytes;
    harm->broken[HARM_LATENCY] = is_noticed(harm->p99_ns, harm_calm_p99_ns(harm));
    harm->broken[HARM_CLOSED] =
        harm->closed + harm->lost + harm->duplicate + harm->out_of_order + harm->corrupt > 0;
    harm->broken[HARM_NEWCOMERS] =
        !attack->shuts && unserved >= UNSERVED_FROM && unserved > harm->newcomers_served;
    harm->broken[HARM_RECOVERY] = harm->recovered_ns < 0 || harm->recovered_ns > RECOVERED_NS;
    harm->broken[HARM_UNNAMED] =
        harm->ends_by && !died && !json_object_get(harm->reasons, harm->ends_by);
}

void abuse_list(FILE *file)
{
    const struct attack *attack;
    for (unsigned i = 0; (attack = attack_at(i)); i++)
        fprintf(file, "  %-20s %5u connections%s\n      %s\n", attack->name, attack->connections,
                attack->ours  ? ", Ringside only"
                : attack->tls ? ", TLS"
                              : "",
                attack->about);
}
