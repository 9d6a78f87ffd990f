#include "experiment/handshakes_table.h"

#include <stdio.h>
#include <string.h>

#include "experiment/cells.h"
#include "measure/clock.h"
#include "output/table.h"

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
    char claim[160], our_cpu[TABLE_NUMBER_MAX], their_cpu[TABLE_NUMBER_MAX];
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
    char number[TABLE_NUMBER_MAX];
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

/* ---- the table ---- */

static void head(struct table *table)
{
    table_heads(table, "", "handshakes", "x ringside", "CPU per", "of it", "x ringside", "per s",
                "CPU", "", "wire");
    table_heads(table, "", "per s", "", "handshake", "TLS", "", "and core", "server", "client",
                "bytes");
}

static void row(struct table *table, const struct contestant *contestant)
{
    char text[TABLE_NUMBER_MAX];
    const struct contestant *ours = contestant->handshake.ours;
    const struct load_turn sum = contestant_totals(contestant);
    table_row(table);
    table_cell(table, "  %.28s", contestant->name);
    table_cell(table, "%s%s", contestant_client_bound(contestant) ? ">=" : "",
               number_grouped(text, (uint64_t)contestant_deliveries_per_s(contestant).median));
    table_ratio(table, contestant_ratio_to(contestant, ours));
    cell_cpu(table, contestant);
    if (contestant->handshake.plain)
        table_cell(table, "%s", number_time(text, contestant_tls_cpu_ns(contestant)));
    else
        table_cell(table, "%s", "");
    table_ratio(table, contestant_cpu_ratio_to(contestant, ours));
    table_cell(table, "%s", number_grouped(text, (uint64_t)per_core(contestant)));
    cells_shares(table, contestant);
    table_cell(table, "%.0f",
               (double)(sum.bytes_in + sum.bytes_out) / (double)(sum.visits ? sum.visits : 1));
}

static void print_versions(const struct result *result)
{
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (contestant->handshake.kind == HANDSHAKE_PLAIN && contestant->version[0])
            printf("\n  %s: %s\n", contestant->name, contestant->version);
    }
}

void handshakes_print(const struct bench *bench)
{
    static struct table table;
    const struct options *options = bench->options;
    const char *workload = "";
    printf("TLS 1.2, ECDSA P-256 certificate; %u connections under way at one time; %u turns of "
           "%u ms; ratios are medians over the rounds\n\n",
           options->connections, options->turns, options->turn_ms);
    head(&table);
    for (unsigned i = 0; i < bench->result.contestant_count; i++) {
        const struct contestant *contestant = bench->result.contestants[i];
        if (contestant->turn_count == 0)
            continue;
        row_workload(&table, contestant, &workload);
        row(&table, contestant);
    }
    table_print(&table, stdout, 2);
    print_versions(&bench->result);
}
