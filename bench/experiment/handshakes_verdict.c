#include "experiment/handshakes_verdict.h"

#include <stdio.h>
#include <string.h>

#include "measure/clock.h"
#include "output/figure.h"
#include "output/number.h"

/* Handshakes that one core could do, if it did nothing else and each cost what it cost here. */
static double per_core(const struct contestant *contestant)
{
    double each_ns = contestant_server_cpu_ns(contestant).median;
    return each_ns > 0 ? NS_PER_S / each_ns : 0;
}

const char *handshake_name(enum handshake handshake)
{
    static const char *const names[HANDSHAKE_COUNT] = {"plain", "full P-256", "full X25519",
                                                       "resumed"};
    return names[handshake];
}

/* ---- verdicts ---- */

static const char *bound_text(const struct contestant *contestant)
{
    return contestant_client_bound(contestant) ? " (client-bound)" : "";
}

static void judge(struct result *result, const struct visited *visited)
{
    char claim[160], our_cpu[NUMBER_TEXT_MAX], their_cpu[NUMBER_TEXT_MAX];
    const struct contestant *ours = visited->ours, *theirs = visited->contestant;
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
static size_t headline_of(const struct visited *visited, unsigned count, const char *name,
                          char *text, size_t size)
{
    char number[NUMBER_TEXT_MAX];
    size_t len = (size_t)snprintf(text, size, " %s", name);
    for (unsigned kind = HANDSHAKE_P256; kind < HANDSHAKE_COUNT; kind++)
        for (unsigned i = 0; i < count && len < size; i++) {
            const struct contestant *contestant = visited[i].contestant;
            if (visited[i].kind != kind || strcmp(contestant->name, name) != 0)
                continue;
            len += (size_t)snprintf(text + len, size - len, "%s %s %s",
                                    kind > HANDSHAKE_P256 ? "," : "",
                                    handshake_name((enum handshake)kind),
                                    number_grouped(number, (uint64_t)per_core(contestant)));
            break;
        }
    return len;
}

static json_t *figures_of(const struct visited *visited)
{
    const struct contestant *contestant = visited->contestant;
    json_t *out = json_pack("{s:s}", "kind", handshake_name(visited->kind));
    figure_set_spread(out, "per_s", contestant_deliveries_per_s(contestant), 0.1);
    if (contestant->server_cpus > 0) {
        figure_set_spread(out, "server_cpu_ns", contestant_server_cpu_ns(contestant), 0.1);
        if (visited->plain)
            json_object_set_new(
                out, "tls_cpu_ns",
                figure_number(contestant_cpu_more_ns(contestant, visited->plain), 0.1));
    }
    figure_set_spread(out, "client_cpu_ns", contestant_client_cpu_ns(contestant), 0.1);
    struct spread rate = contestant_ratio_to(contestant, visited->ours);
    if (rate.n > 0) {
        json_object_set_new(out, "versus", json_string(visited->ours->name));
        figure_set_spread(out, "versus_per_s", rate, 1e-4);
        figure_set_spread(out, "versus_server_cpu",
                          contestant_cpu_ratio_to(contestant, visited->ours), 1e-4);
    }
    return out;
}

void handshakes_judge(struct result *result, const struct visited *visited, unsigned count)
{
    char text[512] = "TLS handshakes per second and core:";
    size_t len = strlen(text);
    for (unsigned i = 0; i < count; i++) {
        contestant_figure(visited[i].contestant, "handshakes", figures_of(&visited[i]));
        if (visited[i].kind == HANDSHAKE_PLAIN && len < sizeof text)
            len += headline_of(visited, count, visited[i].contestant->name, text + len,
                               sizeof text - len);
        if (visited[i].ours && visited[i].plain)
            judge(result, &visited[i]);
    }
    result->headline = strdup(text);
}
