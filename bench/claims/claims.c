/* claims: what articles say of realtime transports, beside what this machine does; and `scenario`,
 * the same for the files that are named.
 *
 *     scenario files ─► read and check all ─► one after the other: attempt ─► judge ─┐
 *                                        table, run.json, report ◄────── verdicts ◄──┘
 *
 * A scenario that fails leaves its claims "not measured", with the reason, and the others go on.
 * The figures of all go into one run.json: a contestant's workload then begins with the name of its
 * scenario. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claims/attempt.h"
#include "claims/judge.h"
#include "claims/progress.h"
#include "config.h"
#include "experiment/bench.h"
#include "experiment/capacity_plan.h"

static const char FOLDER[] = BENCH_SOURCE_ROOT "/bench/scenarios";
static const char PRELUDE[] = BENCH_SOURCE_ROOT "/bench/scenarios/claims.jq";

struct session {
    struct bench *bench;
    struct judge *judge;
    struct scenario *scenarios[OPTIONS_FILES_MAX];
    unsigned count;
    struct progress progress;
};

static const enum option_id no_options[] = {OPTION_COUNT};

static void defaults(struct options *options)
{
    (void)options;
}

/* ---- reading ---- */

static uint64_t machine_fits(void)
{
    struct capacity_machine machine;
    struct capacity_plan plan;
    capacity_machine_read(&machine);
    capacity_plan_make(&plan, &machine);
    return plan.bounds[plan.least].connections;
}

static int read_one(struct session *session, const char *path, uint64_t fits)
{
    char why[BENCH_WHY_MAX * 2];
    struct scenario *scenario;
    if (session->count == OPTIONS_FILES_MAX)
        return bench_fail(-E2BIG, "at most %d scenarios in one run", OPTIONS_FILES_MAX);
    int err = scenario_read(&scenario, path, fits, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "%s", why);
    session->scenarios[session->count++] = scenario;
    for (unsigned i = 0; i + 1 < session->count; i++)
        if (strcmp(session->scenarios[i]->name, scenario->name) == 0)
            return bench_fail(-EEXIST,
                              "%s and %s have the same name: figures could not be told "
                              "apart",
                              session->scenarios[i]->path, path);
    err = judge_check(session->judge, scenario, why, sizeof why);
    return err < 0 ? bench_fail(err, "%s", why) : 0;
}

/* All of bench/scenarios, by name. */
static int read_folder(struct session *session, uint64_t fits)
{
    char pattern[BENCH_PATH_MAX];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*.ini", FOLDER);
    int err = glob(pattern, 0, NULL, &found) == 0
                  ? 0
                  : bench_fail(-ENOENT, "there is no scenario in %s", FOLDER);
    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < found.gl_pathc; i++)
        err = read_one(session, found.gl_pathv[i], fits);
    globfree(&found);
    return err;
}

static int read_all(struct session *session)
{
    const struct options *options = session->bench->options;
    uint64_t fits = machine_fits();
    char why[BENCH_WHY_MAX];
    int err = judge_create(&session->judge, PRELUDE, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "%s", why);
    for (unsigned i = 0; err == 0 && i < options->file_count; i++)
        err = read_one(session, options->files[i], fits);
    return err == 0 && options->file_count == 0 ? read_folder(session, fits) : err;
}

static void session_done(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++)
        scenario_free(session->scenarios[i]);
    judge_free(session->judge);
}

/* ---- what a run leaves ---- */

/* The contestants of a run in ours: under the name of their scenario, so that a name is unique. */
static void take_contestants(struct result *result, const struct scenario *scenario,
                             const json_t *run)
{
    size_t i;
    json_t *contestant;
    json_array_foreach(json_object_get(run, "contestants"), i, contestant)
    {
        const char *workload = json_string_value(json_object_get(contestant, "workload"));
        json_t *copy = json_copy(contestant);
        json_object_set_new(
            copy, "workload",
            json_sprintf("%s%s%s", scenario->name, workload ? ": " : "", workload ? workload : ""));
        json_object_set_new(copy, "scenario", json_string(scenario->name));
        json_array_append_new(result->contestants_taken, copy);
    }
}

static void take_scenario(struct result *result, const struct scenario *scenario,
                          const struct attempt *attempt)
{
    static const char *const members[] = {"settings", "timeline", "notes"};
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:f}", "name", scenario->name, "title",
                               scenario->title, "experiment", scenario->experiment, "command",
                               attempt->command, "elapsed_s", attempt->elapsed_s);
    if (scenario->about[0])
        json_object_set_new(object, "about", json_string(scenario->about));
    if (!attempt->run)
        json_object_set_new(object, "failed", json_string(attempt->why));
    for (size_t i = 0; attempt->run && i < sizeof members / sizeof members[0]; i++)
        json_object_set(object, members[i], json_object_get(attempt->run, members[i]));
    json_array_append_new(result->scenarios, object);
}

static void judge_all(struct session *session, const struct scenario *scenario,
                      const struct attempt *attempt)
{
    json_t *verdicts = session->bench->result.verdicts;
    bool taken = attempt->run && judge_take(session->judge, attempt->run) == 0;
    for (unsigned i = 0; i < scenario->claim_count; i++)
        json_array_append_new(
            verdicts, taken ? judge_claim(session->judge, scenario, &scenario->claims[i])
                            : judge_unmeasured(scenario, &scenario->claims[i], attempt->why));
}

/* ---- running ---- */

static int run_one(struct session *session, unsigned index)
{
    const struct scenario *scenario = session->scenarios[index];
    struct result *result = &session->bench->result;
    struct attempt attempt;
    progress_begin(&session->progress, scenario);
    int err = attempt_run(session->bench, scenario, &session->progress, &attempt);
    if (err < 0 && err != -EINTR)
        return err;
    judge_all(session, scenario, &attempt);
    take_scenario(result, scenario, &attempt);
    if (attempt.run)
        take_contestants(result, scenario, attempt.run);
    result->unrun += attempt.run == NULL;
    progress_end(&session->progress, &attempt);
    attempt_done(&attempt);
    return err;
}

/* Those that an interruption left out are in the table too. */
static void leave_out(struct session *session, unsigned from)
{
    const struct attempt attempt = {.why = "interrupted before"};
    for (unsigned i = from; i < session->count; i++)
        judge_all(session, session->scenarios[i], &attempt);
}

static void sum_up(struct result *result)
{
    char text[256];
    snprintf(text, sizeof text, "%u claims hold, %u depend, %u fail, %u were not measured",
             judge_count(result->verdicts, "holds"), judge_count(result->verdicts, "depends"),
             judge_count(result->verdicts, "fails"), judge_count(result->verdicts, "not measured"));
    result->headline = strdup(text);
}

static int run_session(struct bench *bench, bool aloud)
{
    struct session session = {.bench = bench};
    struct result *result = &bench->result;
    result->contestants_taken = json_array();
    result->scenarios = json_array();
    watch_aside(bench);
    progress_init(&session.progress, bench, aloud, result->verdicts);
    int err = read_all(&session);
    for (unsigned i = 0; i < session.count; i++)
        progress_add(&session.progress, session.scenarios[i]);
    unsigned index = 0;
    for (; err == 0 && index < session.count; index++)
        err = run_one(&session, index);
    if (err == -EINTR)
        leave_out(&session, index);
    sum_up(result);
    session_done(&session);
    return err;
}

static int run_claims(struct bench *bench)
{
    return run_session(bench, false);
}

static int run_scenario(struct bench *bench)
{
    if (bench->options->file_count == 0)
        return bench_fail(-EINVAL, "which scenario? `bench scenario FILE`; `ls bench/scenarios` "
                                   "shows those that there are");
    return run_session(bench, true);
}

const struct experiment experiment_claims = {
    .name = "claims",
    .use = {no_options, "Tests what is claimed of realtime transports on this machine.",
            "Runs all scenarios of bench/scenarios, or those that are named, one after the other, "
            "and sets each claim beside what was measured. It takes less than 15 minutes on two "
            "cores. A scenario that cannot be run leaves its claims \"not measured\", and the "
            "others go on.\n\n"
            "  ringside-bench claims\n"
            "  ringside-bench claims bench/scenarios/latency.ini bench/scenarios/polling.ini",
            "[FILE...]"},
    .defaults = defaults,
    .run = run_claims,
};

const struct experiment experiment_scenario = {
    .name = "scenario",
    .use = {no_options, "Runs one scenario, perhaps your own, and shows its run.",
            "bench/scenarios/README.md says how one is written.\n\n"
            "  ringside-bench scenario bench/scenarios/ticker.ini",
            "FILE..."},
    .defaults = defaults,
    .run = run_scenario,
};
