#include "experiment/abuse_verdict.h"

#include <stdlib.h>
#include <string.h>

#include "experiment/harm.h"
#include "measure/clock.h"

static const double NOTICED = 1.5;
static const double WEAK_FROM = 0.25;
static const double UNNOTICED_NS = 5e6; /* a p99 below it is nobody's complaint */
static const int64_t RECOVERED_NS = (int64_t)5 * NS_PER_S;

enum {
    UNSERVED_FROM = 2, /* newcomers: one may have come at a bad moment */
    KEPT_PART = 4,     /* a quarter of what memory grew may stay: allocators give back late */
    TEXT_MAX = 1536,
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

/* ---- in words ---- */

static size_t add(char *text, size_t size, size_t len, const char *separator, const char *more)
{
    int added = snprintf(text + len, size - len, "%s%s", len > 0 ? separator : "", more);
    return len + (size_t)added < size ? len + (size_t)added : size - 1;
}

/* "memory, p99"; of a server that has died, only that. */
static const char *broken_text(const struct harm *harm, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    if (harm->broken[HARM_ALIVE])
        snprintf(text, size, "died");
    for (int i = 0; i < HARM_BOUNDS && !harm->broken[HARM_ALIVE]; i++)
        if (harm->broken[i])
            len = add(text, size, len, ", ", harm_bound_name((enum harm_bound)i));
    return text;
}

static void conclude_server(struct bench *bench, struct harm *const harms[], const char *server,
                            unsigned *ret_stood, unsigned *ret_count)
{
    struct result *result = &bench->result;
    char text[TEXT_MAX] = "", one[160], broken[96], claim[96];
    size_t len = 0;
    unsigned count = 0, stood = 0;
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (strcmp(contestant->name, server) != 0)
            continue;
        count++;
        stood += !harm_any(harms[i]);
        if (!harm_any(harms[i]))
            continue;
        snprintf(one, sizeof one, "%s (%s)", contestant->workload,
                 broken_text(harms[i], broken, sizeof broken));
        len = add(text, sizeof text, len, ", ", one);
    }
    snprintf(claim, sizeof claim, "No attack harms %s beyond the written bounds", server);
    result_verdict(result, claim, stood == count ? "holds" : "fails", "%u of %u attacks%s%s", stood,
                   count, len > 0 ? " stayed within them; not " : "", text);
    *ret_stood = stood;
    *ret_count = count;
}

/* Whether it is the first contestant of its server. */
static bool is_first(const struct result *result, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (strcmp(result->contestants[i]->name, result->contestants[index]->name) == 0)
            return false;
    return true;
}

/* An attacker that is kept from the CPU attacks less than its row says. */
static void note_weak(struct result *result, struct harm *const harms[])
{
    unsigned count = 0;
    double most = 0;
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct harm *harm = harms[i];
        const double share =
            harm->elapsed_ns > 0 ? (double)harm->attacker_waited_ns / (double)harm->elapsed_ns : 0;
        count += share > WEAK_FROM;
        most = share > most ? share : most;
    }
    if (count > 0)
        result_note(result,
                    "Attacks that were weaker than written, as the attacker wanted a CPU and had "
                    "none (for up to %.0f %% of the time): %u.",
                    100 * most, count);
}

void abuse_conclude(struct bench *bench, struct harm *const harms[])
{
    struct result *result = &bench->result;
    char text[512] = "", one[96];
    size_t len = 0;
    for (unsigned i = 0; i < result->contestant_count; i++) {
        unsigned stood, count;
        const char *server = result->contestants[i]->name;
        if (!is_first(result, i))
            continue;
        conclude_server(bench, harms, server, &stood, &count);
        snprintf(one, sizeof one, "%s stands %u of %u", server, stood, count);
        len = add(text, sizeof text, len, ", ", one);
    }
    char headline[600];
    snprintf(headline, sizeof headline, "Attacks: %s", text);
    result->headline = len > 0 ? strdup(headline) : NULL;
    note_weak(result, harms);
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
