/* Shards and helpers on threads of their own call each other, while shards leave one by one.
 *
 * The ledger: each call that was made has ended once: by its answer, or dropped because its target
 * or its asker had gone. Calls are run, and answers come, in order. A lost wake leaves the test
 * waiting until its time limit; a race is for ThreadSanitizer to see. */
#include "hub/helper.h"
#include "hub/hub.h"
#include "hub/hub_internal.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    SHARDS = 3,
    HELPERS = 2,
    PARTICIPANTS = SHARDS + HELPERS,
    CALLS_EACH = 4000, /* of a shard; the first leaves after a third of them, and so on */
    OPEN_MAX = 24,     /* to one participant: hub_config.overflow_max */
    KEPT_MAX = 9,      /* calls that a participant answers later */
};

struct stress;

struct participant {
    struct stress *stress;
    unsigned index;
    struct hub *hub;       /* a shard's */
    struct helper *helper; /* a helper's */
    struct call *kept[KEPT_MAX];
    unsigned kept_count;
    unsigned made, open;
    unsigned next[PARTICIPANTS];     /* numbers of the calls that are made to each */
    unsigned answered[PARTICIPANTS]; /* of those to each, what the last answer was to */
    unsigned heard[PARTICIPANTS];    /* of each, the last number that it asked */
    unsigned events;
    pthread_t thread;
};

struct stress {
    struct hub_set *set;
    struct participant participants[PARTICIPANTS];
    struct bell bells[SHARDS];
    atomic_uint left; /* shards that turn no more */
    atomic_uint made, done, dropped, ran_events;
    atomic_uint failures;
};

/* A question: twice this number? */
struct doubling {
    struct call call;
    struct stress *stress;
    unsigned target, number, answer;
};

static void expect(struct stress *stress, bool truth)
{
    if (!truth)
        atomic_fetch_add(&stress->failures, 1);
}

static void wake(void *arg, unsigned shard)
{
    struct participant *participant = arg;
    bell_ring(&participant->stress->bells[shard]);
}

static void answer(struct participant *participant, struct call *call)
{
    struct doubling *doubling = (struct doubling *)call;
    doubling->answer = 2 * doubling->number;
    call->err = doubling->number % 5 == 0 ? -EAGAIN : 0;
    if (participant->hub)
        hub_answer(participant->hub, call);
    else
        helper_answer(participant->helper, call);
}

static void answer_kept(struct participant *participant)
{
    for (unsigned i = 0; i < participant->kept_count; i++)
        answer(participant, participant->kept[i]);
    participant->kept_count = 0;
}

static void hear(struct participant *participant, const struct doubling *doubling)
{
    unsigned from = doubling->call.from;
    expect(participant->stress, doubling->target == participant->index);
    expect(participant->stress, doubling->number > participant->heard[from]);
    participant->heard[from] = doubling->number;
}

/* Now, or later with some others: in order either way. */
static void run(void *arg, struct call *call)
{
    struct participant *participant = arg;
    const struct doubling *doubling = (struct doubling *)call;
    hear(participant, doubling);
    participant->kept[participant->kept_count++] = call;
    if (doubling->number % 3 == 0 || participant->kept_count == KEPT_MAX)
        answer_kept(participant);
}

static void done(void *arg, struct call *call)
{
    struct participant *participant = arg;
    struct doubling *doubling = (struct doubling *)call;
    unsigned number = doubling->number;
    expect(doubling->stress, call->ticket.conn == participant->index && call->ticket.tag == number);
    expect(doubling->stress, doubling->answer == 2 * number);
    expect(doubling->stress, call->err == (number % 5 == 0 ? -EAGAIN : 0));
    expect(doubling->stress, number > participant->answered[doubling->target]);
    participant->answered[doubling->target] = number;
    participant->open--;
    atomic_fetch_add(&doubling->stress->done, 1);
    free(doubling);
}

static void drop(struct call *call)
{
    struct doubling *doubling = (struct doubling *)call;
    atomic_fetch_add(&doubling->stress->dropped, 1);
    free(doubling);
}

static void run_event(void *arg, struct call *call)
{
    struct participant *participant = arg;
    struct doubling *doubling = (struct doubling *)call;
    hear(participant, doubling);
    atomic_fetch_add(&doubling->stress->ran_events, 1);
    free(doubling);
}

static const struct call_ops question = {run, done, drop};
static const struct call_ops event = {run_event, NULL, drop};

/* Returns false when so many are open to that one. */
static bool ask(struct participant *participant, unsigned target)
{
    struct stress *stress = participant->stress;
    unsigned number = participant->next[target] + 1;
    struct doubling *doubling = malloc(sizeof *doubling);
    assert(doubling);
    bool is_event = number % 4 == 0;
    *doubling = (struct doubling){
        .call = {.ops = is_event ? &event : &question,
                 .ticket = {.conn = participant->index, .tag = number}},
        .stress = stress,
        .target = target,
        .number = number,
    };
    int err = participant->hub ? hub_call(participant->hub, target, &doubling->call)
                               : helper_call(participant->helper, target, &doubling->call);
    if (err) {
        expect(stress, err == -ENOBUFS);
        free(doubling);
        return false;
    }
    participant->next[target] = number;
    participant->made++;
    participant->open += !is_event;
    atomic_fetch_add(&stress->made, 1);
    return true;
}

/* ---- shards ---- */

static const struct hub_ops hub_ops = {.wake = wake};

static void rest(struct participant *shard)
{
    if (hub_sleep(shard->hub))
        bell_wait(&shard->stress->bells[shard->index], -1);
    hub_awake(shard->hub);
}

/* Turns until there is nothing to do, then sleeps. */
static void shard_turn(struct participant *shard)
{
    bool more = hub_turn(shard->hub, 0);
    if (shard->kept_count > 0) {
        answer_kept(shard);
        return;
    }
    if (!more)
        rest(shard);
}

/* Others that have left answer no more: who is refused by one goes on with the next, and who is by
 * all waits for those that are there. */
static void *run_shard(void *arg)
{
    struct participant *shard = arg;
    struct stress *stress = shard->stress;
    unsigned calls = CALLS_EACH * (shard->index + 1) / SHARDS;
    shard->hub = hub_create(stress->set, shard->index, &hub_ops, shard);
    assert(shard->hub);
    for (unsigned target = 0; shard->made < calls; target = (target + 1) % PARTICIPANTS) {
        for (unsigned i = 0; i < PARTICIPANTS && shard->made < calls; i++)
            while (shard->made < calls && ask(shard, (target + i) % PARTICIPANTS))
                ;
        shard_turn(shard);
    }
    /* Most are answered by now, and what is under way is left behind. */
    unsigned left = atomic_fetch_add(&stress->left, 1) + 1;
    if (left == SHARDS)
        for (unsigned i = 0; i < HELPERS; i++)
            helper_stop(stress->set, i);
    return NULL;
}

/* ---- helpers ---- */

static void *run_helper(void *arg)
{
    static const struct helper_ops ops = {.wake = wake};
    struct participant *participant = arg;
    struct stress *stress = participant->stress;
    struct helper *helper =
        helper_create(stress->set, participant->index - SHARDS, &ops, participant);
    assert(helper &&
           helper_participant(stress->set, participant->index - SHARDS) == participant->index);
    participant->helper = helper;
    bool more = true;
    while (more || !helper_stopping(helper)) {
        more = helper_turn(helper);
        if (participant->kept_count > 0) {
            answer_kept(participant);
            more = true;
        }
        if (participant->made < CALLS_EACH && !helper_stopping(helper))
            ask(participant, participant->made % PARTICIPANTS);
        if (!more)
            helper_wait(helper, -1);
    }
    return NULL;
}

/* ---- the test ---- */

static void start(struct stress *stress)
{
    const struct hub_config config = {
        .shards = SHARDS,
        .helpers = HELPERS,
        .seed = 1,
        .channels_max = 1,
        .subscriptions_max = 1,
        .overflow_max = OPEN_MAX,
        .lane_slots = 8,
    };
    stress->set = hub_set_create(&config);
    assert_non_null(stress->set);
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(bell_init(&stress->bells[i]), 0);
    for (unsigned i = 0; i < PARTICIPANTS; i++) {
        struct participant *participant = &stress->participants[i];
        *participant = (struct participant){.stress = stress, .index = i};
        assert_int_equal(pthread_create(&participant->thread, NULL,
                                        i < SHARDS ? run_shard : run_helper, participant),
                         0);
    }
}

/* In the order of helper.h: all have stopped before any is freed. */
static void end(struct stress *stress)
{
    for (unsigned i = 0; i < PARTICIPANTS; i++)
        pthread_join(stress->participants[i].thread, NULL);
    for (unsigned i = 0; i < PARTICIPANTS; i++) {
        struct participant *participant = &stress->participants[i];
        for (unsigned k = 0; k < participant->kept_count; k++)
            drop(participant->kept[k]);
        helper_free(participant->helper);
        hub_free(participant->hub);
    }
    hub_set_free(stress->set);
    for (unsigned i = 0; i < SHARDS; i++)
        bell_done(&stress->bells[i]);
}

static void test_calls_while_shards_leave(void **state)
{
    (void)state;
    static struct stress stress;
    start(&stress);
    end(&stress);
    assert_int_equal(stress.failures, 0);
    assert_int_equal(stress.made, stress.done + stress.dropped + stress.ran_events);
    assert_true(stress.done > 0 && stress.ran_events > 0 && stress.dropped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_while_shards_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
