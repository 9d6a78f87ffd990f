#include "conn/survey.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/nodes.h"
#include "conn/shard.h"
#include "hub/hub.h"

/* What the parts share; the asker's, but for the count. */
struct survey {
    const struct survey_ops *ops;
    struct nodes_heard *heard; /* another node asks */
    struct survey_part *answered;
    atomic_uint left; /* parts that have not been answered or dropped; and the asker, until it has
                         asked all */
    int err;
};

/* Returns whether it was the last. */
static bool leave(struct survey *survey)
{
    return atomic_fetch_sub_explicit(&survey->left, 1, memory_order_acq_rel) == 1;
}

static void free_all(struct survey *survey)
{
    struct survey_part *next;
    for (struct survey_part *part = survey->answered; part; part = next) {
        next = part->next;
        survey->ops->free(part);
    }
    nodes_heard_free(survey->heard);
    free(survey);
}

/* Nobody will see it any more: its shard or the asker goes. */
static void part_drop(struct survey_part *part)
{
    struct survey *survey = part->survey;
    survey->ops->free(part);
    if (leave(survey))
        free_all(survey);
}

static void call_drop(struct call *call)
{
    part_drop((struct survey_part *)call);
}

static void step_drop(struct call *step)
{
    part_drop(((struct survey_step *)step)->part);
}

/* ---- the part's shard ---- */

static void step_run(void *target, struct call *step);

static const struct call_ops step_ops = {.run = step_run, .drop = step_drop};

/* Where no more calls are taken, what is left is done at once. */
static void go_on(struct shard *shard, struct survey_part *part)
{
    while (part->survey->ops->step(shard, part)) {
        part->step = (struct survey_step){.call.ops = &step_ops, .part = part};
        if (hub_call(shard->hub, shard->index, &part->step.call) == 0)
            return;
    }
    hub_answer(shard->hub, &part->call);
}

static void step_run(void *target, struct call *step)
{
    go_on(target, ((struct survey_step *)step)->part);
}

static void call_run(void *target, struct call *call)
{
    go_on(target, (struct survey_part *)call);
}

/* ---- the asker ---- */

static void call_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct survey_part *part = (struct survey_part *)call;
    struct survey *survey = part->survey;
    const struct ticket ticket = call->ticket;
    part->next = survey->answered;
    survey->answered = part;
    if (survey->err == 0)
        survey->err = call->err;
    if (!leave(survey))
        return;
    struct nodes_heard *heard = survey->heard;
    struct conn *conn = heard ? NULL : conn_of_ticket(shard, &ticket);
    survey->heard = NULL;
    if (heard)
        survey->ops->told(shard, heard, survey->answered, survey->err);
    else if (conn)
        survey->ops->done(shard, conn, &ticket, survey->answered, survey->err);
    free_all(survey);
}

static const struct call_ops call_ops = {.run = call_run, .done = call_done, .drop = call_drop};
static_assert(offsetof(struct survey_part, call) == 0, "a call is its part");

static int ask_one(struct shard *shard, struct survey *survey, const struct ticket *ticket,
                   unsigned target, struct survey_part *part)
{
    if (!part)
        return -ENOMEM;
    part->call = (struct call){.ops = &call_ops, .ticket = *ticket};
    part->survey = survey;
    atomic_fetch_add_explicit(&survey->left, 1, memory_order_relaxed);
    int err = hub_call(shard->hub, target, &part->call);
    if (err < 0) {
        survey->ops->free(part);
        (void)leave(survey);
    }
    return err;
}

static int ask(struct shard *shard, const struct ticket *ticket, struct nodes_heard *heard,
               unsigned first, unsigned count, struct survey_part *(*make)(const void *what),
               const void *what, const struct survey_ops *ops)
{
    struct survey *survey = malloc(sizeof *survey);
    if (!survey)
        return -ENOMEM;
    *survey = (struct survey){.ops = ops, .heard = heard};
    atomic_init(&survey->left, 1);
    for (unsigned i = 0; i < count && survey->err == 0; i++)
        survey->err = ask_one(shard, survey, ticket, first + i, make(what));
    int err = survey->err;
    if (!leave(survey))
        return 0; /* some have been asked: `done` follows, with the error */
    survey->heard = NULL;
    free_all(survey);
    return err;
}

int survey_ask(struct shard *shard, const struct ticket *ticket, unsigned first, unsigned count,
               struct survey_part *(*make)(const void *what), const void *what,
               const struct survey_ops *ops)
{
    return ask(shard, ticket, NULL, first, count, make, what, ops);
}

int survey_hear(struct shard *shard, struct nodes_heard *heard, unsigned first, unsigned count,
                struct survey_part *(*make)(const void *what), const void *what,
                const struct survey_ops *ops)
{
    const struct ticket nobody = {0};
    return ask(shard, &nobody, heard, first, count, make, what, ops);
}
