/* sim_calls: shards and helpers of the simulation call each other, themselves too, and answer at
 * once, or later, or by then there is nobody left.
 *
 * Each call ends once. From one participant to another they are run in the order in which they were
 * made, and answers come in the order in which they were given. */
#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    EVENT_SHARE = 4, /* one call in so many wants no answer */
};

struct sim_call {
    struct call call;
    struct sim *sim;
    unsigned from, target;
    unsigned number; /* of those between the two */
    unsigned answer; /* of the answers between the two */
};

static struct sim_party *party_of(struct sim *sim, unsigned participant)
{
    return &sim->parties[participant];
}

static void *context_of(struct sim *sim, unsigned participant)
{
    if (participant < sim->config.shards)
        return &sim->shards[participant];
    return party_of(sim, participant);
}

/* ---- answering ---- */

static void answer(struct sim *sim, struct sim_call *call)
{
    struct sim_party *party = party_of(sim, call->target);
    call->answer = ++party->answers[call->from];
    call->call.err = -(int)(call->number % 100);
    if (party->helper)
        helper_answer(party->helper, &call->call);
    else
        hub_answer(sim->shards[call->target].hub, &call->call);
}

void sim_answer_kept(struct sim *sim, unsigned participant)
{
    struct sim_party *party = party_of(sim, participant);
    while (party->kept_count > 0)
        answer(sim, (struct sim_call *)party->kept[--party->kept_count]);
}

/* A participant that was asked may ask on. */
static void meddle(struct sim *sim, unsigned participant)
{
    if (!sim->calm && sim_random(sim, 8) == 0)
        sim_ask(sim, participant);
}

static void check_run(struct sim_call *call, const void *target)
{
    struct sim_party *party = party_of(call->sim, call->target);
    assert_ptr_equal(target, context_of(call->sim, call->target));
    assert_int_equal(call->number, ++party->heard[call->from]);
}

static void run(void *target, struct call *head)
{
    struct sim_call *call = (struct sim_call *)head;
    struct sim *sim = call->sim;
    struct sim_party *party = party_of(sim, call->target);
    check_run(call, target);
    if (party->kept_count < SIM_KEPT && sim_random(sim, 2))
        party->kept[party->kept_count++] = head;
    else
        answer(sim, call);
    meddle(sim, call->target);
}

static void run_event(void *target, struct call *head)
{
    struct sim_call *call = (struct sim_call *)head;
    struct sim *sim = call->sim;
    unsigned participant = call->target;
    check_run(call, target);
    sim->calls_open--;
    free(call);
    meddle(sim, participant);
}

static void done(void *asker, struct call *head)
{
    struct sim_call *call = (struct sim_call *)head;
    struct sim *sim = call->sim;
    struct sim_party *party = party_of(sim, call->from);
    unsigned participant = call->from;
    assert_ptr_equal(asker, context_of(sim, call->from));
    assert_int_equal(head->ticket.tag, call->number);
    assert_int_equal(head->err, -(int)(call->number % 100));
    assert_int_equal(call->answer, ++party->answered[call->target]);
    sim->calls_open--;
    sim->coverage->called++;
    free(call);
    meddle(sim, participant);
}

static void drop(struct call *head)
{
    struct sim_call *call = (struct sim_call *)head;
    call->sim->calls_open--;
    call->sim->coverage->dropped++;
    free(call);
}

/* ---- asking ---- */

void sim_ask(struct sim *sim, unsigned participant)
{
    static const struct call_ops question = {run, done, drop};
    static const struct call_ops event = {run_event, NULL, drop};
    struct sim_party *party = party_of(sim, participant);
    unsigned target = sim_random(sim, sim->config.shards + sim->config.helpers);
    struct sim_call *call = malloc(sizeof *call);
    assert_non_null(call);
    *call = (struct sim_call){
        .call = {.ops = sim_random(sim, EVENT_SHARE) ? &question : &event,
                 .ticket = {.tag = party->asked[target] + 1}},
        .sim = sim,
        .from = participant,
        .target = target,
        .number = party->asked[target] + 1,
    };
    int err = party->helper ? helper_call(party->helper, target, &call->call)
                            : hub_call(sim->shards[participant].hub, target, &call->call);
    if (err) {
        assert_int_equal(err, -ENOBUFS);
        sim->coverage->calls_refused++;
        free(call);
        return;
    }
    party->asked[target]++;
    sim->calls_open++;
}

/* ---- helpers ---- */

static void wake(void *context, unsigned shard)
{
    struct sim_party *party = context;
    struct sim_shard *sleeper = &party->sim->shards[shard];
    assert_true(sleeper->asleep);
    sleeper->asleep = false;
    hub_awake(sleeper->hub);
    party->sim->coverage->wakes++;
}

void sim_open_helpers(struct sim *sim)
{
    static const struct helper_ops ops = {.wake = wake};
    for (unsigned i = 0; i < sim->config.shards + sim->config.helpers; i++)
        sim->parties[i].sim = sim;
    for (unsigned i = 0; i < sim->config.helpers; i++) {
        struct sim_party *party = party_of(sim, helper_participant(sim->set, i));
        party->helper = helper_create(sim->set, i, &ops, party);
        assert_non_null(party->helper);
    }
}

/* What they keep goes with them, also of shards. */
void sim_close_helpers(struct sim *sim)
{
    for (unsigned i = 0; i < sim->config.shards + sim->config.helpers; i++) {
        struct sim_party *party = &sim->parties[i];
        while (party->kept_count > 0)
            drop(party->kept[--party->kept_count]);
        helper_free(party->helper);
    }
}

static bool is_rung(const struct sim_party *party)
{
    struct pollfd bell = {.fd = helper_bell(party->helper)->fd, .events = POLLIN};
    return poll(&bell, 1, 0) == 1;
}

/* Nobody but the bell ends its sleep. */
static void hear_bell(struct sim_party *party)
{
    if (!party->asleep || !is_rung(party))
        return;
    bell_wait(helper_bell(party->helper), 0);
    helper_awake(party->helper);
    party->asleep = false;
    party->sim->coverage->rung++;
}

static void turn(struct sim_party *party)
{
    if (!party->asleep && !helper_turn(party->helper))
        party->asleep = helper_sleep(party->helper);
}

void sim_step_helper(struct sim *sim)
{
    unsigned participant = helper_participant(sim->set, sim_random(sim, sim->config.helpers));
    struct sim_party *party = party_of(sim, participant);
    hear_bell(party);
    uint32_t draw = sim_random(sim, 10);
    if (draw >= 5) {
        turn(party);
        return;
    }
    /* What it waits for by itself has come. */
    if (party->asleep)
        helper_awake(party->helper);
    party->asleep = false;
    if (draw < 2)
        sim_answer_kept(sim, participant);
    else
        sim_ask(sim, participant);
}

void sim_rest_helpers(struct sim *sim)
{
    for (unsigned i = 0; i < sim->config.helpers; i++) {
        unsigned participant = helper_participant(sim->set, i);
        struct sim_party *party = party_of(sim, participant);
        hear_bell(party);
        if (party->kept_count > 0) {
            if (party->asleep)
                helper_awake(party->helper);
            party->asleep = false;
            sim_answer_kept(sim, participant);
        }
        turn(party);
    }
}

bool sim_helpers_rest(const struct sim *sim)
{
    bool rest = true;
    for (unsigned i = 0; i < sim->config.shards + sim->config.helpers; i++) {
        const struct sim_party *party = &sim->parties[i];
        rest &= party->kept_count == 0 && (!party->helper || (party->asleep && !is_rung(party)));
    }
    return rest;
}
