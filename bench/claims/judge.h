/* judge: what a run says of a claim.
 *
 *     run.json ─ value ─► figure ─┬─ measured ─► words
 *                                 ├─ holds ────► true: holds
 *                                 └─ depends ──► true: depends, else: fails
 *
 * Idea     The programs of a claim are jq, with the definitions of bench/scenarios/claims.jq before
 *          them. `value` gets the run; the others get the figure, and the run as $run. A program
 *          that ends with error("…") says why nothing can be said: the verdict is then "not
 *          measured", with those words.
 * Threads  one.
 * Memory   verdicts are JSON objects of the caller's.
 * Bounds   none on what a program computes: it is as trusted as the file that it is in. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "claims/scenario.h"

struct judge;

/* With the definitions of the file `prelude`. Returns 0, or negative errno with a sentence. */
int judge_create(struct judge **ret, const char *prelude, char *why, size_t why_size);

void judge_free(struct judge *judge);

/* Whether the programs of a scenario are jq. Returns 0, or -EINVAL with a sentence. */
int judge_check(struct judge *judge, const struct scenario *scenario, char *why, size_t why_size);

/* Takes a run for judge_claim. Returns 0 or -ENOMEM. */
int judge_take(struct judge *judge, const json_t *run);

/* A verdict on the run that was taken, as in run.json: claim, source, scenario, measured, verdict.
 */
json_t *judge_claim(struct judge *judge, const struct scenario *scenario,
                    const struct scenario_claim *claim);

/* The same when there is no run. */
json_t *judge_unmeasured(const struct scenario *scenario, const struct scenario_claim *claim,
                         const char *why);

/* How many of the verdicts are `wanted`. */
unsigned judge_count(const json_t *verdicts, const char *wanted);
