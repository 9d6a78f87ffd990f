#include "experiment/knee_find.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "experiment/knee_search.h"
#include "measure/clock.h"

static const int64_t SETTLE_TIMEOUT_NS = (int64_t)60 * NS_PER_S;
static const int64_t CLOSE_NS = (int64_t)50 * NS_PER_MS; /* until dropped connections are gone */
static const double RATE_LEAST = 0.1, RATE_MOST = 100000;

enum {
    BOUNDS_FAR = 2,      /* a turn's length in bounds, while the steps are far apart */
    BOUNDS_NEAR = 8,     /* near the knee */
    BOUNDS_HOPELESS = 4, /* a message that takes so long ends the turn, which has failed */
    WARM_MESSAGES = 20,  /* a fresh receiver acknowledges its first segments one by one */
};

static int64_t longer(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

static int64_t near_ns(const struct knee_aim *aim)
{
    return longer(aim->turn_ns, BOUNDS_NEAR * aim->bound_ns);
}

static void name_step(const struct knee_aim *aim, double value, char text[RESULT_NAME_MAX])
{
    snprintf(text, RESULT_NAME_MAX, aim->of_subscribers ? "%g subscribers" : "%g/s", value);
}

/* ---- how many are connected ---- */

static int warm(struct field *field, unsigned index, const struct knee_aim *aim)
{
    static const struct load_mode some = {.depth = 1, .messages = WARM_MESSAGES};
    struct turn turn;
    int err = load_settle(field->load, index, SETTLE_TIMEOUT_NS);
    return err < 0 ? err : field_step(field, index, &some, aim->turn_ns, 0, &turn);
}

static int open_more(struct field *field, unsigned index, uint32_t more)
{
    const struct load_ramp_config config = {.count = more, .timeout_ns = SETTLE_TIMEOUT_NS};
    struct load_ramp_result ramp;
    int err = load_idle(field->load, NS_PER_MS, LOAD_ALL); /* a ramp is timed from there */
    if (err == 0)
        err = load_ramp(field->load, index, &config, &ramp);
    return err == 0 && ramp.failed > 0 ? -ECONNREFUSED : err;
}

/* Those that a step's overload cost: they belong to the knee, and are no fault of the run. */
static void take_overloaded(struct field *field, unsigned index, struct knee *knee)
{
    struct contestant overloaded = {0};
    field_failures(field, index, &overloaded);
    knee->closed += overloaded.closes;
}

/* Connects or closes until so many are up. Brings back also those that an overload cost. */
static int connect_so_many(struct field *field, unsigned index, const struct knee_aim *aim,
                           uint32_t wanted)
{
    const uint32_t up = load_links_up(field->load, index);
    const uint32_t links = field_links(field, index, wanted);
    int err = 0;
    if (up == links && load_up(field->load, index) >= wanted)
        return 0;
    if (up > links) {
        load_drop(field->load, index, up - links, false);
        err = load_idle(field->load, CLOSE_NS, LOAD_ALL);
    } else {
        err = open_more(field, index, links - up);
        if (err == 0)
            err = warm(field, index, aim);
    }
    if (err < 0 && err != -EINTR)
        bench_fail(err, "%s: %u subscribers cannot be had: %s", field->entrants[index].name, wanted,
                   strerror(-err));
    return err;
}

static uint32_t subscribers_at(const struct knee_aim *aim, double value)
{
    return aim->of_subscribers ? (uint32_t)value : aim->subscribers_most;
}

/* ---- a step ---- */

static void judge(const struct field *field, unsigned index, const struct knee_aim *aim,
                  const struct turn *turn, struct knee_step *step)
{
    const struct histogram *corrected = load_latency(field->load, index);
    const struct histogram *uncorrected = load_latency_uncorrected(field->load, index);
    const struct load_turn *load = &turn->load;
    struct usage server = turn_server_usage(turn, field->entrants[index].server->cpus);
    struct usage client = turn_client_usage(turn);
    double elapsed_ns = (double)load->elapsed_ns;
    step->deliveries_per_s = (double)load->deliveries * NS_PER_S / elapsed_ns;
    step->p50_ns = histogram_percentile(corrected, 50);
    step->p99_ns = histogram_percentile(corrected, 99);
    step->p99_uncorrected_ns = histogram_percentile(uncorrected, 99);
    step->missing = load->missing;
    step->server_share = server.used;
    step->client_share = client.used;
    step->client_bound =
        server.used >= 0 &&
        turn_saturated(turn, field->entrants[index].server->cpus) == SATURATED_CLIENT;
    step->held = load->deliveries > 0 && load->missing == 0 && !load->hopeless &&
                 step->p99_ns <= (uint64_t)aim->bound_ns &&
                 load_up(field->load, index) >= subscribers_at(aim, step->value);
}

static struct load_mode mode_at(const struct knee_aim *aim, double value)
{
    return (struct load_mode){
        .rate_per_s = aim->of_subscribers ? aim->rate_per_s : value,
        .hopeless_ns = BOUNDS_HOPELESS * aim->bound_ns,
    };
}

static int try_step(struct field *field, unsigned index, const struct knee_aim *aim,
                    struct knee *knee, double value, int64_t duration_ns)
{
    char detail[RESULT_NAME_MAX];
    struct turn turn;
    const struct load_mode mode = mode_at(aim, value);
    struct knee_step step = {.value = value};
    name_step(aim, value, detail);
    watch_phase(field->bench, "search", field->entrants[index].name, detail);
    int err = connect_so_many(field, index, aim, subscribers_at(aim, value));
    if (err != 0)
        return err;
    err = field_step(field, index, &mode, duration_ns, 0, &turn);
    take_overloaded(field, index, knee);
    bool cut_off = err == -ENOTCONN; /* the overload cost every connection, or the publisher's */
    if (err != 0 && !cut_off)
        return err;
    judge(field, index, aim, &turn, &step);
    step.held &= !cut_off;
    knee_add(knee, &step);
    watch_turn(field->bench, field->entrants[index].name, &turn, NULL);
    return 0;
}

/* ---- the search ---- */

/* What a closed loop at depth 1 does says where to begin. It runs twice, to be warm. */
static int begin(struct field *field, unsigned index, const struct knee_aim *aim, struct knee *knee,
                 struct knee_search *search)
{
    static const struct load_mode closed = {.depth = 1};
    struct turn turn;
    watch_phase(field->bench, "warm-up", field->entrants[index].name, NULL);
    int err = field_step(field, index, &closed, aim->turn_ns, 0, &turn);
    if (err == 0)
        err = field_step(field, index, &closed, aim->turn_ns, 0, &turn);
    if (err < 0)
        return err;
    double elapsed_s = (double)turn.load.elapsed_ns / NS_PER_S;
    double published = (double)turn.load.publishes / elapsed_s;
    double delivered = (double)turn.load.deliveries / elapsed_s;
    if (aim->of_subscribers) {
        knee_search_init(search, delivered / aim->rate_per_s / 2, 1, aim->subscribers_most, true);
    } else {
        knee->closed_rate = published;
        knee->closed_p99_ns =
            histogram_percentile(load_latency_uncorrected(field->load, index), 99);
        knee_search_init(search, published / 2, RATE_LEAST, RATE_MOST, false);
    }
    return 0;
}

int knee_find(struct field *field, unsigned index, const struct knee_aim *aim,
              struct contestant *into, struct knee *knee)
{
    struct knee_search search;
    int64_t end_ns = clock_now_ns() + aim->patience_ns;
    int err = begin(field, index, aim, knee, &search);
    while (err == 0 && search.next > 0) {
        if (clock_now_ns() > end_ns) {
            contestant_note(into, "The search was ended by its time, before the steps were close.");
            return 0;
        }
        int64_t far_ns = longer(aim->turn_ns, BOUNDS_FAR * aim->bound_ns);
        err = try_step(field, index, aim, knee, search.next, search.close ? near_ns(aim) : far_ns);
        if (err < 0)
            return err;
        knee_search_take(&search, knee->steps[knee->step_count - 1].held);
        knee->value = search.low;
        knee->failed = search.high;
    }
    return err;
}

/* ---- the repeats ---- */

/* The lowest step that failed says what there was no more of. */
static void find_limit(struct knee *knee)
{
    for (unsigned i = 0; i < knee->step_count; i++) {
        const struct knee_step *step = &knee->steps[i];
        if (!step->held && step->value == knee->failed)
            knee->client_limited |= step->client_bound;
    }
}

static int repeat(struct field *field, unsigned index, const struct knee_aim *aim, unsigned round,
                  struct contestant *into, struct knee *knee, unsigned *held)
{
    char detail[RESULT_NAME_MAX];
    const struct load_mode mode = mode_at(aim, knee->value);
    struct knee_step step = {.value = knee->value, .repeat = true};
    name_step(aim, knee->value, detail);
    watch_phase(field->bench, "confirm", into->name, detail);
    int err = connect_so_many(field, index, aim, subscribers_at(aim, knee->value));
    if (err != 0)
        return err;
    err = field_turn(field, index, &mode, near_ns(aim), round, into);
    take_overloaded(field, index, knee);
    if (err < 0 && err != -ENOTCONN)
        return err;
    /* Else the overload cost every connection, or the publisher's, and the step has no figures. */
    if (err == 0)
        judge(field, index, aim, &into->turns[into->turn_count - 1], &step);
    knee_add(knee, &step);
    *held += step.held;
    return 0;
}

static bool confirmed(const struct contestant *contestant, unsigned held, unsigned repeats)
{
    return 2 * held > repeats && load_ledger_faults(&contestant->ledger) == 0;
}

/* Overload may delay messages and lose them. Nothing else that a ledger counts comes of it. */
static void forget_repeats(struct contestant *contestant)
{
    const struct load_ledger seen = contestant->ledger;
    contestant_forget_turns(contestant);
    contestant->ledger.duplicate = seen.duplicate;
    contestant->ledger.out_of_order = seen.out_of_order;
    contestant->ledger.corrupt = seen.corrupt;
}

/* More than half of the repeats have to hold, and none may lose anything. Returns how many knees
 * did not. */
static unsigned lower_those_that_failed(const struct field *field, const struct knee_aim *aim,
                                        struct contestant **contestants, struct knee **knees,
                                        const unsigned *held, bool *pending)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < field->count; i++) {
        struct knee *knee = knees[i];
        pending[i] = pending[i] && !confirmed(contestants[i], held[i], aim->repeats);
        if (!pending[i])
            continue;
        failed++;
        knee->failed = knee->value;
        knee->value = knee_search_below(knee->value, aim->of_subscribers);
        forget_repeats(contestants[i]);
    }
    return failed;
}

int knee_confirm(struct field *field, const struct knee_aim *aim, struct contestant **contestants,
                 struct knee **knees)
{
    bool pending[FIELD_ENTRANTS_MAX] = {false};
    unsigned open = 0;
    int err = 0;
    for (unsigned i = 0; i < field->count; i++) {
        pending[i] = knees[i]->value > 0;
        open += pending[i];
    }
    for (unsigned tries = 0; err == 0 && open > 0 && tries < KNEE_CONFIRMS_MAX; tries++) {
        unsigned held[FIELD_ENTRANTS_MAX] = {0};
        for (unsigned round = 0; round < aim->repeats; round++)
            for (unsigned i = 0; err == 0 && i < field->count; i++)
                if (pending[i])
                    err = repeat(field, i, aim, round, contestants[i], knees[i], &held[i]);
        open =
            err == 0 ? lower_those_that_failed(field, aim, contestants, knees, held, pending) : 0;
    }
    for (unsigned i = 0; i < field->count; i++) {
        contestants[i]->connections = load_links_up(field->load, i);
        contestants[i]->subscribers = load_up(field->load, i);
        if (pending[i] && open > 0)
            knees[i]->value = 0; /* what was tried last has not been confirmed */
        find_limit(knees[i]);
    }
    return err;
}
