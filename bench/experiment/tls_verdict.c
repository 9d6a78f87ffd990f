#include "experiment/tls_verdict.h"

#include <stdio.h>
#include <string.h>

static const double DEPTH_1_MIN = 0.6, DEPTH_8_MIN = 0.5;
static const double GCM_BYTES_MAX = 800, CHACHA_BYTES_MAX = 320;

static bool secure(const struct contestant *contestant)
{
    return contestant->tls.cipher[0] != '\0';
}

static bool is_chacha(const struct contestant *contestant)
{
    return strstr(contestant->tls.cipher, "chacha20") != NULL;
}

/* ---- verdicts ---- */

static void judge_rate(struct result *result, const struct contestant *contestant, double least)
{
    char claim[160];
    struct spread ratio = contestant_ratio_to(contestant, contestant->tls.plain);
    struct spread cpu = contestant_cpu_ratio_to(contestant, contestant->tls.plain);
    if (ratio.n == 0)
        return;
    bool bound = contestant_saturated(contestant) == SATURATED_CLIENT;
    snprintf(claim, sizeof claim, "%.40s at %.20s reaches %.1f of the rate without TLS",
             contestant->name, contestant->workload, least);
    result_verdict(result, claim,
                   ratio.median >= least ? "holds"
                   : bound               ? "not measured"
                                         : "fails",
                   "%s%.2f (%.2f to %.2f); server CPU per delivery %.2f times that of plain%s",
                   bound ? ">= " : "", ratio.median, ratio.p25, ratio.p75, cpu.median,
                   bound ? "; the client was the bottleneck" : "");
}

void tls_judge_fanout(struct result *result)
{
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (!secure(contestant))
            continue;
        if (strcmp(contestant->workload, "depth 1") == 0)
            judge_rate(result, contestant, DEPTH_1_MIN);
        else if (strcmp(contestant->workload, "depth 8") == 0)
            judge_rate(result, contestant, DEPTH_8_MIN);
    }
}

void tls_judge_memory(struct result *result, const struct contestant *contestant)
{
    char claim[160];
    const struct memory_growth *memory = contestant->memory;
    if (!secure(contestant) || !memory || !memory->known || contestant->connections == 0)
        return;
    double most = is_chacha(contestant) ? CHACHA_BYTES_MAX : GCM_BYTES_MAX;
    double each = (double)memory->user_bytes / contestant->connections;
    snprintf(claim, sizeof claim, "A parked %.40s takes at most %.0f bytes of user memory",
             contestant->name, most);
    result_verdict(result, claim, each <= most ? "holds" : "fails",
                   "%.1f bytes, with %u connections", each, contestant->connections);
}
