#include "experiment/slow_verdict.h"

#include <stdio.h>
#include <string.h>

#include "output/table.h"

/* What the issue of slow readers may cost others. */
static const double NOTICED = 1.2;

const char *const slow_policies[SLOW_POLICIES] = {"disconnect", "drop_oldest", "keep_latest"};

static const struct contestant *with_of(const struct result *result, unsigned policy)
{
    const struct contestant *found = result_find(result, "others", slow_policies[policy]);
    return found && found->stall && found->stall->ratio_count > 0 ? found : NULL;
}

/* For each policy that has an answer, one after the other. */
static size_t add(char *text, size_t size, size_t len, const char *policy, const char *answer)
{
    int more = snprintf(text + len, size - len, "%s%s %s", len > 0 ? "; " : "", policy, answer);
    return len + (size_t)more < size ? len + (size_t)more : size - 1;
}

static void judge_delay(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = true, fails = false, bound = false;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        struct spread ratio = stall_ratios(with->stall);
        snprintf(answer, sizeof answer, "%.2fx (%.2f to %.2f)", ratio.median, ratio.min, ratio.max);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        holds &= ratio.median < NOTICED;
        fails |= ratio.p25 >= NOTICED;
        bound |= contestant_client_bound(with);
    }
    result_verdict(result, "Slow readers delay nobody else: p99 rises by less than 1.2x",
                   bound   ? "not measured"
                   : holds ? "holds"
                   : fails ? "fails"
                           : "depends",
                   "p99 of the others, with them / without: %s%s", text,
                   bound ? "; the client was the bottleneck" : "");
}

static void judge_memory(struct result *result)
{
    char text[512] = "", answer[128], grew[TABLE_NUMBER_MAX], bound[TABLE_NUMBER_MAX],
         tcp[TABLE_NUMBER_MAX];
    size_t len = 0;
    bool holds = true, filled = true;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        const struct stall *stall = with->stall;
        snprintf(answer, sizeof answer, "+%s (sockets +%s)",
                 number_bytes(grew, (double)stall->rss_bytes),
                 number_bytes(tcp, (double)stall->tcp_bytes));
        len = add(text, sizeof text, len, slow_policies[i], answer);
        number_bytes(bound, (double)stall->bound_bytes);
        holds &= stall->rss_bytes <= stall->bound_bytes && stall->queue_bytes <= stall->bound_bytes;
        filled &= stall->closed + stall->dropped > 0;
    }
    result_verdict(result, "What is kept for slow readers is bounded by the configured queues",
                   !filled ? "not measured"
                   : holds ? "holds"
                           : "fails",
                   "server memory, of %s allowed: %s%s", bound, text,
                   filled ? "" : "; not all queues were full");
}

/* A policy loses what it says: disconnect nothing, the others what the server counts. */
static bool lost_as_said(const struct stall *stall, bool disconnect)
{
    bool in_order = stall->duplicate + stall->out_of_order + stall->unrecovered == 0;
    return in_order && stall->lost == stall->dropped &&
           (disconnect ? stall->returned == stall->closed && stall->lost == 0 : stall->closed == 0);
}

static void judge_loss(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = result_ledger_faults(result) == 0;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        const struct stall *stall = with->stall;
        snprintf(answer, sizeof answer, "closed %lu, dropped %lu, lost %lu",
                 (unsigned long)stall->closed, (unsigned long)stall->dropped,
                 (unsigned long)stall->lost);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        holds &= lost_as_said(stall, i == SLOW_DISCONNECT);
    }
    result_verdict(result,
                   "Who reads too slowly loses what the policy says, and nobody else anything",
                   holds ? "holds" : "fails", "%s; the others lost %lu", text,
                   (unsigned long)result_ledger_faults(result));
}

static void judge_latest(struct result *result)
{
    char text[512] = "", answer[128];
    size_t len = 0;
    bool holds = true;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct contestant *with = with_of(result, i);
        if (!with)
            return;
        uint64_t all = (uint64_t)with->stall->readers * with->stall->turns;
        snprintf(answer, sizeof answer, "%lu of %lu", (unsigned long)with->stall->latest,
                 (unsigned long)all);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        holds &= with->stall->latest == all;
    }
    result_verdict(result, "Who reads again ends with the latest message",
                   holds ? "holds" : "fails", "%s", text);
}

static void make_headline(struct bench *bench)
{
    char text[256];
    double worst = 0;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct contestant *with = with_of(&bench->result, i);
        double ratio = with ? stall_ratios(with->stall).median : 0;
        worst = ratio > worst ? ratio : worst;
    }
    snprintf(text, sizeof text,
             "%u %% of %u readers stop or trickle: the others' p99 rises to %.2fx at most",
             bench->options->stalled_percent, bench->options->subscribers, worst);
    bench->result.headline = strdup(text);
}

void slow_judge(struct bench *bench)
{
    judge_delay(&bench->result);
    judge_memory(&bench->result);
    judge_loss(&bench->result);
    judge_latest(&bench->result);
    make_headline(bench);
}

/* ---- the table ---- */

static void print_row(struct table *table, const struct result *result, unsigned policy)
{
    char text[TABLE_NUMBER_MAX], without_workload[RESULT_NAME_MAX];
    const struct contestant *with = with_of(result, policy);
    snprintf(without_workload, sizeof without_workload, "%s, without", slow_policies[policy]);
    const struct contestant *without = result_find(result, "others", without_workload);
    if (!with || !without)
        return;
    const struct stall *stall = with->stall;
    struct spread ratio = stall_ratios(stall);
    table_row(table);
    table_cell(table, "%s", slow_policies[policy]);
    table_cell(table, "%s",
               number_time(text, (double)histogram_percentile(without->corrected, 99)));
    table_cell(table, "%s", number_time(text, (double)histogram_percentile(with->corrected, 99)));
    table_cell(table, "%.2f (%.2f-%.2f)", ratio.median, ratio.min, ratio.max);
    table_cell(table, "%s", number_bytes(text, (double)stall->queue_bytes));
    table_cell(table, "%s", number_bytes(text, (double)stall->rss_bytes));
    table_cell(table, "%s", number_bytes(text, (double)stall->tcp_bytes));
    table_cell(table, "%s", number_grouped(text, stall->closed));
    table_cell(table, "%s", number_grouped(text, stall->dropped));
    table_cell(table, "%s", number_grouped(text, stall->lost));
    table_cell(table, "%s", number_grouped(text, stall->latest));
    table_cell(table, "%s",
               number_grouped(text, load_ledger_faults(&with->ledger) +
                                        load_ledger_faults(&without->ledger)));
}

void slow_print(const struct bench *bench)
{
    static struct table table;
    table_heads(&table, "", "others' p99", "with", "ratio", "queues", "memory", "sockets", "closed",
                "dropped,", "lost, by", "have the", "others'");
    table_heads(&table, "", "without", "them", "(all turns)", "at most", "grew", "grew", "",
                "by counter", "ledger", "latest", "faults");
    for (unsigned i = 0; i < SLOW_POLICIES; i++)
        print_row(&table, &bench->result, i);
    table_print(&table, stdout, 2);
}
