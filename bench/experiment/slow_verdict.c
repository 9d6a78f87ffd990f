#include "experiment/slow_verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "output/number.h"

/* What the issue of slow readers may cost others. */
static const double NOTICED = 1.2;

const char *const slow_policies[SLOW_POLICIES] = {"disconnect", "drop_oldest", "keep_latest"};

/* One way, each policy of which has been measured. */
struct outcome {
    struct result *result;
    const struct way *way;
    const struct stall *stalls;
};

static const struct contestant *with_of(const struct outcome *outcome, unsigned policy)
{
    char workload[RESULT_NAME_MAX];
    way_workload(workload, outcome->way, slow_policies[policy]);
    return result_find(outcome->result, "others", workload);
}

static bool is_measured(const struct outcome *outcome)
{
    for (unsigned i = 0; i < SLOW_POLICIES; i++)
        if (!with_of(outcome, i) || outcome->stalls[i].ratio_count == 0)
            return false;
    return true;
}

static const struct contestant *without_of(const struct result *result,
                                           const struct contestant *with)
{
    char workload[RESULT_NAME_MAX];
    snprintf(workload, sizeof workload, "%.37s, without", with->workload);
    return result_find(result, "others", workload);
}

/* Of those who read, with and without those who do not. */
static uint64_t faults_of(const struct result *result, const struct contestant *with)
{
    const struct contestant *without = without_of(result, with);
    return load_ledger_faults(&with->ledger) + (without ? load_ledger_faults(&without->ledger) : 0);
}

/* For each policy that has an answer, one after the other. */
static size_t add(char *text, size_t size, size_t len, const char *policy, const char *answer)
{
    int more = snprintf(text + len, size - len, "%s%s %s", len > 0 ? "; " : "", policy, answer);
    return len + (size_t)more < size ? len + (size_t)more : size - 1;
}

static void judge_delay(const struct outcome *outcome)
{
    char text[512] = "", claim[WAY_CLAIM_MAX], answer[128];
    size_t len = 0;
    bool holds = true, fails = false, bound = false;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        struct spread ratio = stall_ratios(&outcome->stalls[i]);
        snprintf(answer, sizeof answer, "%.2fx (%.2f to %.2f)", ratio.median, ratio.min, ratio.max);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        holds &= ratio.median < NOTICED;
        fails |= ratio.p25 >= NOTICED;
        bound |= contestant_client_bound(with_of(outcome, i));
    }
    result_verdict(outcome->result,
                   way_claim(claim, outcome->way,
                             "Slow readers delay nobody else: p99 rises by less than 1.2x"),
                   bound   ? "not measured"
                   : holds ? "holds"
                   : fails ? "fails"
                           : "depends",
                   "p99 of the others, with them / without: %s%s", text,
                   bound ? "; the client was the bottleneck" : "");
}

static void judge_memory(const struct outcome *outcome)
{
    char text[512] = "", claim[WAY_CLAIM_MAX], answer[128], grew[NUMBER_TEXT_MAX],
         bound[NUMBER_TEXT_MAX], tcp[NUMBER_TEXT_MAX];
    size_t len = 0;
    bool holds = true, filled = true;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct stall *stall = &outcome->stalls[i];
        snprintf(answer, sizeof answer, "+%s (sockets +%s)",
                 number_bytes(grew, (double)stall->rss_bytes),
                 number_bytes(tcp, (double)stall->tcp_bytes));
        len = add(text, sizeof text, len, slow_policies[i], answer);
        number_bytes(bound, (double)stall->bound_bytes);
        holds &= stall->rss_bytes <= stall->bound_bytes && stall->queue_bytes <= stall->bound_bytes;
        filled &= stall->closed + stall->dropped > 0;
    }
    result_verdict(outcome->result,
                   way_claim(claim, outcome->way,
                             "What is kept for slow readers is bounded by the configured queues"),
                   !filled ? "not measured"
                   : holds ? "holds"
                           : "fails",
                   "server memory, of %s allowed: %s%s", bound, text,
                   filled ? "" : "; not all queues were full");
}

/* A policy loses what it says: disconnect nothing, the others what the server counts. */
static bool lost_as_said(const struct stall *stall, bool disconnect)
{
    bool in_order =
        stall->duplicate + stall->out_of_order + stall->corrupt + stall->unrecovered == 0;
    return in_order && stall->lost == stall->dropped &&
           (disconnect ? stall->returned == stall->closed && stall->lost == 0 : stall->closed == 0);
}

static void judge_loss(const struct outcome *outcome)
{
    char text[512] = "", claim[WAY_CLAIM_MAX], answer[128];
    size_t len = 0;
    bool holds = true;
    uint64_t faults = 0;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct stall *stall = &outcome->stalls[i];
        snprintf(answer, sizeof answer, "closed %lu, dropped %lu, lost %lu",
                 (unsigned long)stall->closed, (unsigned long)stall->dropped,
                 (unsigned long)stall->lost);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        faults += faults_of(outcome->result, with_of(outcome, i));
        holds &= lost_as_said(stall, i == SLOW_DISCONNECT);
    }
    result_verdict(
        outcome->result,
        way_claim(claim, outcome->way,
                  "Who reads too slowly loses what the policy says, and nobody else anything"),
        holds && faults == 0 ? "holds" : "fails", "%s; the others lost %lu", text,
        (unsigned long)faults);
}

static void judge_latest(const struct outcome *outcome)
{
    char text[512] = "", claim[WAY_CLAIM_MAX], answer[128];
    size_t len = 0;
    bool holds = true;
    for (unsigned i = 0; i < SLOW_POLICIES; i++) {
        const struct stall *stall = &outcome->stalls[i];
        uint64_t all = (uint64_t)stall->readers * stall->turns;
        snprintf(answer, sizeof answer, "%lu of %lu", (unsigned long)stall->latest,
                 (unsigned long)all);
        len = add(text, sizeof text, len, slow_policies[i], answer);
        holds &= stall->latest == all;
    }
    result_verdict(outcome->result,
                   way_claim(claim, outcome->way, "Who reads again ends with the latest message"),
                   holds ? "holds" : "fails", "%s", text);
}

static void make_headline(struct bench *bench, const struct stall *plain)
{
    char text[256];
    double worst = 0;
    for (unsigned i = 0; i < SLOW_POLICIES; i++)
        worst = fmax(worst, stall_ratios(&plain[i]).median);
    snprintf(text, sizeof text,
             "%u %% of %u readers stop or trickle: the others' p99 rises to %.2fx at most",
             bench->options->stalled_percent, bench->options->subscribers, worst);
    bench->result.headline = strdup(text);
}

void slow_judge(struct bench *bench, const struct stall stalls[][SLOW_POLICIES])
{
    struct way ways[WAYS_ANY_MAX];
    const unsigned count = ways_of_any(bench->options, ways);
    for (unsigned i = 0; i < count; i++) {
        const struct outcome outcome = {&bench->result, &ways[i], stalls[i]};
        if (!is_measured(&outcome))
            continue;
        judge_delay(&outcome);
        judge_memory(&outcome);
        judge_loss(&outcome);
        judge_latest(&outcome);
    }
    make_headline(bench, stalls[0]);
}
