#include "output/result.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/clock.h"

/* A side that uses this much of its CPUs sets the limit; while the server uses the lesser share, a
 * client at its limit hides what the server could do. */
static const double SHARE_FULL = 0.95;
static const double SHARE_BUSY = 0.90;

enum {
    TEXT_MAX = 2048,
};

void result_init(struct result *result, const char *experiment)
{
    *result = (struct result){
        .experiment = experiment,
        .started_at = time(NULL),
        .started_ns = clock_now_ns(),
        .settings = json_object(),
        .notes = json_array(),
    };
}

static void contestant_free(struct contestant *contestant)
{
    free(contestant->turns);
    histogram_free(contestant->corrected);
    histogram_free(contestant->uncorrected);
    free(contestant->memory);
    json_decref(contestant->figures);
    json_decref(contestant->counters);
    json_decref(contestant->notes);
    free(contestant);
}

void result_done(struct result *result)
{
    for (unsigned i = 0; i < result->contestant_count; i++)
        contestant_free(result->contestants[i]);
    free(result->samples);
    free(result->command);
    json_decref(result->settings);
    json_decref(result->machine);
    json_decref(result->notes);
}

struct contestant *result_add(struct result *result, const char *name, const char *workload,
                              enum contestant_kind kind)
{
    assert(result->contestant_count < RESULT_CONTESTANTS_MAX);
    struct contestant *contestant = calloc(1, sizeof *contestant);
    assert(contestant);
    snprintf(contestant->name, sizeof contestant->name, "%s", name);
    snprintf(contestant->workload, sizeof contestant->workload, "%s", workload);
    contestant->kind = kind;
    result->contestants[result->contestant_count++] = contestant;
    return contestant;
}

/* Room for one more: capacities are the powers of two. */
static void *grown(void *items, unsigned count, size_t size)
{
    if (count & (count - 1))
        return items;
    items = realloc(items, (count ? 2 * (size_t)count : 1) * size);
    assert(items);
    return items;
}

void result_sample(struct result *result, const struct sample *sample)
{
    result->samples = grown(result->samples, result->sample_count, sizeof *result->samples);
    result->samples[result->sample_count++] = *sample;
}

void contestant_turn(struct contestant *contestant, const struct turn *turn)
{
    contestant->turns = grown(contestant->turns, contestant->turn_count, sizeof *turn);
    contestant->turns[contestant->turn_count++] = *turn;
}

void contestant_forget_turns(struct contestant *contestant)
{
    contestant->turn_count = 0;
    contestant->ledger = (struct load_ledger){0};
    contestant->requests_sent = contestant->requests_answered = contestant->requests_empty = 0;
    histogram_reset(contestant->corrected);
    histogram_reset(contestant->uncorrected);
}

void result_note(struct result *result, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t i;
    json_t *said;
    json_array_foreach(result->notes, i,
                       said) if (strcmp(json_string_value(said), text) == 0) return;
    json_array_append_new(result->notes, json_string(text));
}

void contestant_note(struct contestant *contestant, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!contestant->notes)
        contestant->notes = json_array();
    json_array_append_new(contestant->notes, json_string(text));
}

void contestant_figure(struct contestant *contestant, const char *name, json_t *figure)
{
    if (!contestant->figures)
        contestant->figures = json_object();
    json_object_set_new(contestant->figures, name, figure);
}

/* A message that was counted as lost may still come: then the count of the lost goes back. */
static uint64_t moved(uint64_t sum, uint64_t before, uint64_t after)
{
    uint64_t plus = sum + after;
    return plus > before ? plus - before : 0;
}

void contestant_ledger(struct contestant *contestant, const struct load_ledger *before,
                       const struct load_ledger *after)
{
    struct load_ledger *sum = &contestant->ledger;
    contestant->has_ledger = true;
    sum->delivered = moved(sum->delivered, before->delivered, after->delivered);
    sum->lost = moved(sum->lost, before->lost, after->lost);
    sum->superseded = moved(sum->superseded, before->superseded, after->superseded);
    sum->duplicate = moved(sum->duplicate, before->duplicate, after->duplicate);
    sum->out_of_order = moved(sum->out_of_order, before->out_of_order, after->out_of_order);
    sum->corrupt = moved(sum->corrupt, before->corrupt, after->corrupt);
    sum->expected = sum->delivered + sum->lost;
}

/* ---- which side was the limit ---- */

static const struct usage USAGE_UNKNOWN = {-1, -1, -1, -1, -1};

static struct usage usage_of(int64_t cpu_ns, bool known, const struct strain_side *strain,
                             double given_ns)
{
    struct usage usage = USAGE_UNKNOWN;
    if (given_ns <= 0)
        return usage;
    usage.used = (double)cpu_ns / given_ns;
    if (!known)
        return usage;
    usage.waited = strain->waited_ns < 0 ? -1 : (double)strain->waited_ns / given_ns;
    usage.steal = strain->steal;
    usage.softirq = strain->softirq;
    return usage;
}

struct usage turn_server_usage(const struct turn *turn, unsigned cpus)
{
    const bool known = turn->strain.known;
    double given_ns = (double)(known ? turn->strain.elapsed_ns : turn->load.elapsed_ns) * cpus;
    struct usage usage = usage_of(turn->server_cpu_ns, known, &turn->strain.server, given_ns);
    int64_t others_ns = known ? strain_others_ns(&turn->strain.cost) : -1;
    if (given_ns > 0 && others_ns >= 0)
        usage.others = (double)others_ns / given_ns;
    return usage;
}

struct usage turn_client_usage(const struct turn *turn)
{
    return usage_of(turn->load.client_cpu_ns, turn->strain.known, &turn->strain.client,
                    (double)turn->load.elapsed_ns);
}

static double known(double share)
{
    return share > 0 ? share : 0;
}

double usage_asked(const struct usage *usage)
{
    double asked = known(usage->used) + known(usage->steal);
    if (usage->others < 0)
        asked += known(usage->waited);
    return asked < 1 ? asked : 1;
}

enum saturated saturated_by(const struct usage *server, const struct usage *client)
{
    double asked = usage_asked(server);
    if (usage_asked(client) >= SHARE_FULL)
        return asked >= SHARE_BUSY ? SATURATED_BOTH : SATURATED_CLIENT;
    return asked >= SHARE_FULL ? SATURATED_SERVER : SATURATED_NEITHER;
}

const char *saturated_name(enum saturated side)
{
    static const char *const names[] = {"neither", "server", "client", "both"};
    return names[side];
}

/* The same turn as if it were its bursts alone. What the server did in them is not known, but at
 * most all that it did. */
static struct turn burst_of(const struct turn *turn, unsigned cpus)
{
    struct turn burst = *turn;
    const int64_t given_ns = turn->load.burst_ns * cpus;
    burst.load.elapsed_ns = burst.strain.elapsed_ns = turn->load.burst_ns;
    burst.load.client_cpu_ns = turn->load.burst_cpu_ns;
    burst.server_cpu_ns = turn->server_cpu_ns < given_ns ? turn->server_cpu_ns : given_ns;
    return burst;
}

enum saturated turn_saturated(const struct turn *turn, unsigned cpus)
{
    const bool paced = turn->load.burst_ns > 0 && turn->load.burst_ns < turn->load.elapsed_ns;
    const struct turn judged = paced ? burst_of(turn, cpus) : *turn;
    struct usage server = turn_server_usage(&judged, cpus), client = turn_client_usage(&judged);
    return saturated_by(&server, &client);
}

/* Those who read too slowly may lose what the policy says, and those beside an attack are judged by
 * its bounds. Nothing else than losing is either's to expect. */
static uint64_t faults_of(const struct contestant *contestant)
{
    return load_ledger_faults(&contestant->ledger) + contestant->own_faults;
}

uint64_t result_ledger_faults(const struct result *result)
{
    uint64_t faults = 0;
    for (unsigned i = 0; i < result->contestant_count; i++)
        faults += faults_of(result->contestants[i]);
    return faults;
}

uint64_t result_closes(const struct result *result)
{
    uint64_t closes = 0;
    for (unsigned i = 0; i < result->contestant_count; i++)
        closes += result->contestants[i]->closes;
    return closes;
}

const struct contestant *result_find(const struct result *result, const char *name,
                                     const char *workload)
{
    for (unsigned i = 0; i < result->contestant_count; i++)
        if (strcmp(result->contestants[i]->name, name) == 0 &&
            strcmp(result->contestants[i]->workload, workload) == 0)
            return result->contestants[i];
    return NULL;
}
