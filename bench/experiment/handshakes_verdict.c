#include "experiment/handshakes_verdict.h"

#include <stdio.h>
#include <string.h>

#include "measure/clock.h"
#include "output/number.h"

/* Handshakes that one core could do, if it did nothing else and each cost what it cost here. */
static double per_core(const struct contestant *contestant)
{
    double each_ns = contestant_server_cpu_ns(contestant).median;
    return each_ns > 0 ? NS_PER_S / each_ns : 0;
}

/* ---- verdicts ---- */

static const char *bound_text(const struct contestant *contestant)
{
    return contestant_client_bound(contestant) ? " (client-bound)" : "";
}

static void judge(struct result *result, const struct contestant *theirs)
{
    char claim[160], our_cpu[NUMBER_TEXT_MAX], their_cpu[NUMBER_TEXT_MAX];
    const struct contestant *ours = theirs->handshake.ours;
    struct spread cpu = contestant_cpu_ratio_to(ours, theirs);
    if (cpu.n == 0 || cpu.median <= 0) /* or our CPU time is unknown */
        return;
    snprintf(claim, sizeof claim, "%.40s: a handshake costs Ringside no more CPU than %.40s",
             ours->workload, theirs->name);
    result_verdict(result, claim,
                   cpu.p75 <= 1  ? "holds"
                   : cpu.p25 > 1 ? "fails"
                                 : "depends",
                   "%.2f times (quartiles %.2f to %.2f, %u rounds): %s against %s, so %.0f against "
                   "%.0f per second and core; seen %.0f/s%s against %.0f/s%s",
                   cpu.median, cpu.p25, cpu.p75, cpu.n,
                   number_time(our_cpu, contestant_server_cpu_ns(ours).median),
                   number_time(their_cpu, contestant_server_cpu_ns(theirs).median), per_core(ours),
                   per_core(theirs), contestant_deliveries_per_s(ours).median, bound_text(ours),
                   contestant_deliveries_per_s(theirs).median, bound_text(theirs));
}

/* "ringside full X25519 1,060, resumed 9,800" */
static size_t headline_of(const struct result *result, const char *name, char *text, size_t size)
{
    static const enum handshake kinds[] = {HANDSHAKE_P256, HANDSHAKE_X25519, HANDSHAKE_RESUMED};
    char number[NUMBER_TEXT_MAX];
    size_t len = (size_t)snprintf(text, size, " %s", name);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (unsigned i = 0; i < result->contestant_count && len < size; i++) {
            const struct contestant *contestant = result->contestants[i];
            if (contestant->handshake.kind != kinds[k] || strcmp(contestant->name, name) != 0)
                continue;
            len += (size_t)snprintf(text + len, size - len, "%s %s %s", k ? "," : "",
                                    handshake_name(kinds[k]),
                                    number_grouped(number, (uint64_t)per_core(contestant)));
            break;
        }
    return len;
}

void handshakes_judge(struct result *result)
{
    char text[512] = "TLS handshakes per second and core:";
    size_t len = strlen(text);
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (contestant->handshake.kind == HANDSHAKE_PLAIN && len < sizeof text)
            len += headline_of(result, contestant->name, text + len, sizeof text - len);
        if (contestant->handshake.ours && contestant->handshake.plain)
            judge(result, contestant);
    }
    result->headline = strdup(text);
}
