#include "experiment/tls_table.h"

#include <stdio.h>
#include <string.h>

#include "output/table.h"

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

/* ---- the table ---- */

static void cell_ratio(struct table *table, struct spread ratio, bool bound)
{
    if (ratio.n > 0)
        table_cell(table, "%s%.2f (%.2f-%.2f)", bound ? ">=" : "", ratio.median, ratio.p25,
                   ratio.p75);
    else
        table_cell(table, "-");
}

/* Bytes of one delivery on the wire, and by how many they are more than without TLS. */
static void cell_wire(struct table *table, const struct contestant *contestant)
{
    struct load_turn ours = contestant_totals(contestant);
    if (ours.deliveries == 0) {
        table_cell(table, "-");
        return;
    }
    double each = (double)ours.bytes_in / (double)ours.deliveries;
    struct load_turn theirs = {0};
    if (contestant->tls.plain)
        theirs = contestant_totals(contestant->tls.plain);
    if (theirs.deliveries > 0)
        table_cell(table, "%.1f (%+.1f)", each,
                   each - (double)theirs.bytes_in / (double)theirs.deliveries);
    else
        table_cell(table, "%.1f", each);
}

static void cell_memory(struct table *table, const struct contestant *contestant)
{
    const struct memory_growth *memory = contestant->memory;
    if (memory && memory->known && contestant->connections > 0)
        table_cell(table, "%.0f B", (double)memory->user_bytes / contestant->connections);
    else
        table_cell(table, "%s", "");
}

static void row(struct table *table, const struct contestant *contestant)
{
    char name[2 * RESULT_NAME_MAX], text[TABLE_NUMBER_MAX];
    snprintf(name, sizeof name, "%s %s", contestant->name, contestant->workload);
    table_row(table);
    table_cell(table, "%.31s", name);
    cell_ratio(table, contestant_ratio_to(contestant, contestant->tls.plain),
               contestant_saturated(contestant) == SATURATED_CLIENT);
    cell_ratio(table, contestant_cpu_ratio_to(contestant, contestant->tls.plain), false);
    cell_wire(table, contestant);
    cell_memory(table, contestant);
    if (contestant->tls.full + contestant->tls.resumed == 0) {
        table_cell(table, "%s", "");
        return;
    }
    table_cell(table, "%s, %lu", number_grouped(text, contestant->tls.full),
               (unsigned long)contestant->tls.resumed);
}

void tls_table_print(const struct result *result)
{
    static struct table table;
    unsigned count = 0;
    table_heads(&table, "TLS", "rate x plain", "CPU x plain", "wire bytes", "memory",
                "handshakes, resumed");
    for (unsigned i = 0; i < result->contestant_count; i++) {
        if (!secure(result->contestants[i]))
            continue;
        row(&table, result->contestants[i]);
        count++;
    }
    if (count == 0)
        return;
    printf("\n");
    table_print(&table, stdout, 1);
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
