#include "experiment/storm_verdict.h"

#include <stdio.h>
#include <string.h>

#include "output/number.h"

enum {
    HANDSHAKES_MAX = 80,
};

static const char BACK[] = "reconnect"; /* the figure of those who came back */
static const char BOUND[] = "; the clients were the bottleneck";

void storm_name(char ret[RESULT_NAME_MAX], enum storm_variant variant, const struct way *way)
{
    static const char *const names[STORM_VARIANTS] = {
        [STORM_ADMISSION] = "admission",
        [STORM_JITTER] = "jitter",
        [STORM_AT_ONCE] = "at once",
    };
    way_workload(ret, way, names[variant]);
}

/* ---- verdicts ---- */

static double p99_of(const struct result *result, const char *variant, const char *suffix)
{
    char workload[RESULT_NAME_MAX];
    snprintf(workload, sizeof workload, "%.38s%s", variant, suffix);
    const struct contestant *found = result_find(result, "connected", workload);
    return found ? (double)histogram_percentile(found->corrected, 99) : 0;
}

/* What is said of one storm: sums over its transports. */
struct tale {
    char name[RESULT_NAME_MAX];
    uint32_t dropped, recovered;
    uint64_t retries, missed, unrecovered;
    double elapsed_s;
    bool client_bound; /* its clients had no CPU left, and the server had */
    uint64_t faults, tls_full, tls_resumed;
    double before_ns, during_ns; /* p99 of those who stayed */
};

static void tell(const struct result *result, enum storm_variant variant, const struct way *way,
                 struct tale *ret)
{
    *ret = (struct tale){0};
    storm_name(ret->name, variant, way);
    ret->before_ns = p99_of(result, ret->name, ", before");
    ret->during_ns = p99_of(result, ret->name, "");
    for (unsigned i = 0; i < result->contestant_count; i++) {
        const struct contestant *contestant = result->contestants[i];
        if (strcmp(contestant->workload, ret->name) != 0)
            continue;
        ret->faults += load_ledger_faults(&contestant->ledger);
        if (!json_object_get(contestant->figures, BACK))
            continue;
        ret->tls_full += contestant->tls.full;
        ret->tls_resumed += contestant->tls.resumed;
        ret->dropped += (uint32_t)contestant_figure_of(contestant, BACK, "dropped");
        ret->recovered += (uint32_t)contestant_figure_of(contestant, BACK, "recovered");
        ret->retries += (uint64_t)contestant_figure_of(contestant, BACK, "retries");
        ret->missed += (uint64_t)contestant_figure_of(contestant, BACK, "missed");
        ret->unrecovered += (uint64_t)contestant_figure_of(contestant, BACK, "unrecovered");
        ret->elapsed_s = contestant_figure_of(contestant, BACK, "elapsed_s");
        ret->client_bound |= json_is_true(json_object_get(contestant->figures, "client_bound"));
    }
}

static bool whole(const struct tale *tale)
{
    return tale->recovered == tale->dropped && tale->unrecovered == 0;
}

static void say_back(char text[RESULT_NAME_MAX], const struct tale *tale)
{
    snprintf(text, RESULT_NAME_MAX, "%u of %u back in %.1f s", tale->recovered, tale->dropped,
             tale->elapsed_s);
}

/* Handshakes of those who came back, tries that were sent away among them. */
static void say_handshakes(char text[HANDSHAKES_MAX], const struct tale *tale)
{
    text[0] = '\0';
    if (tale->tls_full + tale->tls_resumed > 0)
        snprintf(text, HANDSHAKES_MAX, ", %lu handshakes in full, %lu resumed",
                 (unsigned long)tale->tls_full, (unsigned long)tale->tls_resumed);
}

static void judge(struct result *result, const struct way *way)
{
    struct tale admitted, at_once;
    char claim[WAY_CLAIM_MAX], back[RESULT_NAME_MAX], handshakes[HANDSHAKES_MAX];
    char p99[4][NUMBER_TEXT_MAX];
    tell(result, STORM_ADMISSION, way, &admitted);
    tell(result, STORM_AT_ONCE, way, &at_once);
    say_back(back, &admitted);
    say_handshakes(handshakes, &admitted);
    result_verdict(
        result,
        way_claim(claim, way, "A mass reconnect with resume loses nothing, publishing going on"),
        whole(&admitted) && admitted.faults == 0 ? "holds" : "fails",
        "%s%s; %lu messages by replay, %lu positions gone, %lu faults in the ledger", back,
        handshakes, (unsigned long)admitted.missed, (unsigned long)admitted.unrecovered,
        (unsigned long)admitted.faults);
    result_verdict(
        result,
        way_claim(claim, way,
                  "Who stays connected notices less of a storm when it is let in at a rate"),
        admitted.client_bound || at_once.client_bound ? "not measured"
        : admitted.during_ns < at_once.during_ns      ? "holds"
                                                      : "fails",
        "p99 %s before and %s during the storm with admission, %s and %s without%s",
        number_time(p99[0], admitted.before_ns), number_time(p99[1], admitted.during_ns),
        number_time(p99[2], at_once.before_ns), number_time(p99[3], at_once.during_ns),
        admitted.client_bound || at_once.client_bound ? BOUND : "");
    say_back(back, &at_once);
    say_handshakes(handshakes, &at_once);
    result_verdict(result,
                   way_claim(claim, way,
                             "Reconnecting without jitter knocks the server over as it comes back"),
                   !whole(&at_once) || at_once.faults > 0 ? "holds"
                   : at_once.client_bound                 ? "not measured"
                                                          : "fails",
                   "%s%s, without jitter and without admission; %lu attempts failed%s", back,
                   handshakes, (unsigned long)at_once.retries, at_once.client_bound ? BOUND : "");
}

void storm_judge(struct bench *bench)
{
    struct way ways[WAYS_ANY_MAX];
    const unsigned count = ways_of_any(bench->options, ways);
    for (unsigned i = 0; i < count; i++)
        judge(&bench->result, &ways[i]);
}
