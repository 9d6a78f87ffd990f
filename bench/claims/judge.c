#include "claims/judge.h"

#include <assert.h>
#include <errno.h>
#include <jq.h>
#include <jv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PRELUDE_MAX = 64 * 1024,
    REASON_MAX = 512,
};

struct judge {
    char *prelude;
    jv run;
    char reason[REASON_MAX]; /* why the last program gave nothing */
};

/* ---- making one ---- */

static char *read_file(const char *path)
{
    char *text = calloc(1, PRELUDE_MAX);
    FILE *file = text ? fopen(path, "re") : NULL;
    size_t len = file ? fread(text, 1, PRELUDE_MAX - 1, file) : 0;
    if (file)
        fclose(file);
    if (len == 0 || len == PRELUDE_MAX - 1) {
        free(text);
        return NULL;
    }
    return text;
}

int judge_create(struct judge **ret, const char *prelude, char *why, size_t why_size)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (!judge)
        return -ENOMEM;
    judge->run = jv_null();
    judge->prelude = read_file(prelude);
    if (!judge->prelude) {
        snprintf(why, why_size, "cannot read %s, of at most %d bytes", prelude, PRELUDE_MAX - 2);
        judge_free(judge);
        return -ENOENT;
    }
    *ret = judge;
    return 0;
}

void judge_free(struct judge *judge)
{
    if (!judge)
        return;
    jv_free(judge->run);
    free(judge->prelude);
    free(judge);
}

int judge_take(struct judge *judge, const json_t *run)
{
    char *text = json_dumps(run, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return -ENOMEM;
    jv_free(judge->run);
    judge->run = jv_parse(text);
    free(text);
    return jv_is_valid(judge->run) ? 0 : -EINVAL;
}

/* ---- one program ---- */

/* "jq: error: syntax error, …" of a compilation, its first line. */
static void note_error(void *context, jv message)
{
    struct judge *judge = context;
    if (judge->reason[0] == '\0' && jv_get_kind(message) == JV_KIND_STRING) {
        const char *text = jv_string_value(message);
        snprintf(judge->reason, sizeof judge->reason, "%.*s", (int)strcspn(text, "\n"), text);
    }
    jv_free(message);
}

/* The program, compiled with $run; NULL with a reason. */
static jq_state *compile(struct judge *judge, const char *program)
{
    size_t size = strlen(judge->prelude) + strlen(program) + 2;
    char *text = malloc(size);
    jq_state *jq = jq_init();
    assert(text && jq);
    snprintf(text, size, "%s\n%s", judge->prelude, program);
    judge->reason[0] = '\0';
    jq_set_error_cb(jq, note_error, judge);
    jv arguments = jv_object_set(jv_object(), jv_string("run"), jv_copy(judge->run));
    bool compiled = jq_compile_args(jq, text, arguments) != 0;
    free(text);
    if (compiled)
        return jq;
    jq_teardown(&jq);
    return NULL;
}

/* Its first result; an invalid one with a reason. Takes `input`. */
static jv evaluate(struct judge *judge, const char *program, jv input)
{
    jq_state *jq = compile(judge, program);
    if (!jq) {
        jv_free(input);
        return jv_invalid();
    }
    jq_start(jq, input, 0);
    jv result = jq_next(jq);
    if (!jv_is_valid(result)) {
        jv message = jv_invalid_get_msg(jv_copy(result));
        snprintf(judge->reason, sizeof judge->reason, "%s",
                 jv_get_kind(message) == JV_KIND_STRING ? jv_string_value(message)
                                                        : "the run has no such figure");
        jv_free(message);
    }
    jq_teardown(&jq);
    return result;
}

/* 1 or 0; negative with a reason when the program failed. */
static int is_true(struct judge *judge, const char *program, jv figure)
{
    jv result = evaluate(judge, program, jv_copy(figure));
    int yes = !jv_is_valid(result) ? -EINVAL : jv_get_kind(result) == JV_KIND_TRUE;
    jv_free(result);
    return yes;
}

int judge_check(struct judge *judge, const struct scenario *scenario, char *why, size_t why_size)
{
    for (unsigned i = 0; i < scenario->claim_count; i++) {
        const struct scenario_claim *claim = &scenario->claims[i];
        const struct {
            const char *name, *program;
        } programs[] = {
            {"value", claim->value},
            {"measured", claim->measured},
            {"holds", claim->holds},
            {"depends", claim->depends},
        };
        for (size_t p = 0; p < sizeof programs / sizeof programs[0]; p++) {
            jq_state *jq = *programs[p].program ? compile(judge, programs[p].program) : NULL;
            if (!jq && *programs[p].program) {
                snprintf(why, why_size, "%s: %s of [claim %s] is not jq: %s", scenario->path,
                         programs[p].name, claim->name, judge->reason);
                return -EINVAL;
            }
            if (jq)
                jq_teardown(&jq);
        }
    }
    return 0;
}

/* ---- a claim ---- */

static json_t *verdict_make(const struct scenario *scenario, const struct scenario_claim *claim,
                            const char *measured, const char *verdict)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "claim", claim->claim, "scenario",
                               scenario->name, "measured", measured, "verdict", verdict);
    if (claim->source[0])
        json_object_set_new(object, "source", json_string(claim->source));
    return object;
}

json_t *judge_unmeasured(const struct scenario *scenario, const struct scenario_claim *claim,
                         const char *why)
{
    return verdict_make(scenario, claim, why, "not measured");
}

/* What was measured in words: those of the claim, or the figure as JSON. */
static jv words(struct judge *judge, const struct scenario_claim *claim, jv figure)
{
    if (!claim->measured[0])
        return jv_dump_string(jv_copy(figure), 0);
    jv text = evaluate(judge, claim->measured, jv_copy(figure));
    return jv_get_kind(text) == JV_KIND_STRING || !jv_is_valid(text) ? text
                                                                     : jv_dump_string(text, 0);
}

/* NULL, with a reason, when a program failed. */
static const char *find(struct judge *judge, const struct scenario_claim *claim, jv figure)
{
    int holds = is_true(judge, claim->holds, figure);
    int depends = holds == 0 && claim->depends[0] ? is_true(judge, claim->depends, figure) : 0;
    if (holds < 0 || depends < 0)
        return NULL;
    return holds ? "holds" : depends ? "depends" : "fails";
}

json_t *judge_claim(struct judge *judge, const struct scenario *scenario,
                    const struct scenario_claim *claim)
{
    jv figure = evaluate(judge, claim->value, jv_copy(judge->run));
    if (!jv_is_valid(figure) || jv_get_kind(figure) == JV_KIND_NULL) {
        bool null = jv_is_valid(figure);
        jv_free(figure);
        return judge_unmeasured(scenario, claim,
                                null ? "the run has no such figure" : judge->reason);
    }
    jv text = words(judge, claim, figure);
    const char *found = jv_is_valid(text) ? find(judge, claim, figure) : NULL;
    json_t *verdict = found ? verdict_make(scenario, claim, jv_string_value(text), found)
                            : judge_unmeasured(scenario, claim, judge->reason);
    jv_free(text);
    jv_free(figure);
    return verdict;
}

unsigned judge_count(const json_t *verdicts, const char *wanted)
{
    size_t i;
    json_t *verdict;
    unsigned count = 0;
    json_array_foreach(verdicts, i, verdict) count +=
        strcmp(json_string_value(json_object_get(verdict, "verdict")), wanted) == 0;
    return count;
}
