/* churn: clients that come and go while messages flow; storms, drops and stalls. */
#include <errno.h>

#include "load/engine.h"

enum {
    REOPEN_TIMEOUT_S = 10,
    LOOK_MS = 20, /* between two walks through a group */
};

/* ---- one after the other ---- */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A step through the clients that meets all of them before it meets one again, neighbours far
 * apart. */
static uint32_t stride_of(uint32_t count)
{
    uint32_t stride = (uint32_t)(count * 0.618) | 1;
    while (common_divisor(stride, count) != 1)
        stride++;
    return stride;
}

static void churn_one(struct load *load, struct churner *churner)
{
    uint32_t count = churner->group->links;
    struct link *link = &load->links[churner->group->first_link + churner->cursor];
    churner->cursor = (uint32_t)(((uint64_t)churner->cursor + churner->stride) % count);
    if (link->phase != LINK_UP || link->flags & LINK_STALLED)
        return;
    opener_again(load, link);
    link_close(load, link, churner->orderly);
    churner->closed++;
}

int64_t churner_step(struct load *load)
{
    struct churner *churner = &load->churner;
    if (!churner->active)
        return INT64_MAX;
    while (churner->due_ns <= (double)load->now_ns) {
        churner->due_ns += churner->interval_ns;
        churn_one(load, churner);
    }
    return (int64_t)churner->due_ns - load->now_ns;
}

static void churner_start(struct load *load, struct group *group, const struct load_churn *churn)
{
    load->churner = (struct churner){
        .active = churn->rate_per_s > 0,
        .orderly = churn->orderly,
        .group = group,
        .stride = stride_of(group->links),
        .interval_ns = churn->rate_per_s > 0 ? 1e9 / churn->rate_per_s : 0,
        .due_ns = (double)load->now_ns,
    };
}

static bool publishing(const struct load_mode *mode)
{
    return mode->depth > 0 || mode->rate_per_s > 0;
}

static int begin(struct load *load, struct group *group, const struct load_mode *mode,
                 struct turn_mark *mark)
{
    if (publishing(mode) && !group->config.publish)
        return -ENOTCONN;
    int err = publishing(mode) ? publisher_ready(load, group) : 0;
    if (err < 0)
        return err;
    turn_begin(load, group, mark);
    if (group_is(group, PROTOCOL_BY_CLOCK))
        poller_start(load, group);
    publisher_start(load, group, mode);
    return 0;
}

/* Steps until `up` clients are up again, at most until the deadline. */
static int wait_up(struct load *load, const struct group *group, uint32_t up, int64_t deadline_ns)
{
    int err = 0;
    while (err == 0 && group->up < up && load->now_ns < deadline_ns)
        err = engine_step(load);
    return err;
}

/* Steps until those who came back with a position have what they missed. */
static int catch_up(struct load *load, const struct group *group, int64_t deadline_ns)
{
    int err = 0;
    while (err == 0 && load->now_ns < deadline_ns && group_behind(load, group)) {
        int64_t look_ns = load->now_ns + LOOK_MS * INT64_C(1000000);
        while (err == 0 && load->now_ns < look_ns)
            err = engine_step(load);
    }
    return err;
}

static int end(struct load *load, struct group *group, const struct turn_mark *mark, int err,
               struct load_turn *turn)
{
    publisher_stop(group);
    int64_t deadline_ns = load->now_ns + REOPEN_TIMEOUT_S * INT64_C(1000000000);
    if (err == 0)
        err = turn_drain(load, group, deadline_ns);
    if (err == 0)
        err = catch_up(load, group, deadline_ns);
    group->poller.active = false;
    turn_end(load, group, mark, turn);
    return err;
}

int load_churn(struct load *load, unsigned group_index, const struct load_churn *churn,
               struct load_turn *turn, struct load_churn_result *ret)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    struct turn_mark mark;
    *turn = (struct load_turn){0};
    *ret = (struct load_churn_result){0};
    int err = begin(load, group, &churn->publish, &mark);
    if (err < 0)
        return err;
    uint32_t up = group->up;
    opener_start(load, 0, 0, 0);
    churner_start(load, group, churn);
    while (err == 0 && load->now_ns - mark.now_ns < churn->duration_ns)
        err = engine_step(load);
    load->churner.active = false;
    int64_t deadline_ns = load->now_ns + REOPEN_TIMEOUT_S * INT64_C(1000000000);
    if (err == 0)
        err = wait_up(load, group, up, deadline_ns);
    *ret = (struct load_churn_result){
        .closed = load->churner.closed,
        .reopened = load->opener.opened,
        .retries = load->opener.retries,
        .elapsed_ns = load->opener.last_ns - mark.now_ns,
    };
    return end(load, group, &mark, err, turn);
}

/* ---- all at once ---- */

/* Closes `count` links, spread over those that are up; `again` lets them come back. */
static uint32_t drop(struct load *load, struct group *group, uint32_t count, bool orderly,
                     bool again)
{
    uint32_t up = group->links_up, seen = 0, dropped = 0;
    for (uint32_t i = 0; i < group->links && dropped < count; i++) {
        struct link *link = &load->links[group->first_link + i];
        if (link->phase != LINK_UP)
            continue;
        /* The n-th of `up` is dropped when n × count ÷ up passes a whole number. */
        uint64_t before = (uint64_t)seen * count / up;
        uint64_t after = (uint64_t)(++seen) * count / up;
        if (before == after)
            continue;
        if (again)
            opener_again(load, link);
        link_close(load, link, orderly);
        dropped++;
    }
    return dropped;
}

void load_drop(struct load *load, unsigned group, uint32_t count, bool orderly)
{
    assert(group < load->group_count);
    drop(load, &load->groups[group], count, orderly, false);
}

/* Steps until `wanted` links of any group have come up, at most until the deadline. */
static int wait_opened(struct load *load, uint32_t wanted, int64_t deadline_ns)
{
    int err = 0;
    while (err == 0 && load->opener.opened < wanted && load->now_ns < deadline_ns)
        err = engine_step(load);
    return err;
}

/* Nobody begins any longer; those under way, whom the server may have let in already, come to their
 * end: each has a time-out. */
static int end_opening(struct load *load)
{
    int err = 0;
    load->opener.attempts_max = 1;
    opener_abandon(load);
    while (err == 0 && load->opener.opening > 0) {
        err = engine_step(load);
        opener_abandon(load);
    }
    return err;
}

int load_storm(struct load *load, uint64_t groups, const struct load_storm *storm,
               struct load_storm_result *ret)
{
    struct opener *opener = &load->opener;
    load->now_ns = engine_clock_ns();
    *ret = (struct load_storm_result){.started_ns = load->now_ns};
    int64_t cpu_ns = turn_cpu_ns();
    opener_start(load, storm->in_flight, 0, LOAD_ATTEMPTS_ANY);
    opener->backoff = storm->backoff;
    for (uint64_t left = groups; left != 0; left &= left - 1) {
        struct group *group = &load->groups[__builtin_ctzll(left)];
        ret->dropped +=
            drop(load, group, (uint32_t)(group->links_up * storm->share), storm->orderly, true);
    }
    ret->dropped_ns = engine_clock_ns() - ret->started_ns;
    int err = wait_opened(load, ret->dropped, ret->started_ns + storm->timeout_ns);
    if (err == 0)
        err = end_opening(load);
    opener_abandon(load);
    ret->recovered = opener->opened;
    ret->retries = opener->retries;
    ret->recovered_ns = opener->last_ns - ret->started_ns;
    ret->client_cpu_ns = turn_cpu_ns() - cpu_ns;
    memcpy(ret->failures, opener->failures, sizeof ret->failures);
    opener_start(load, 0, 0, 0);
    return err;
}

int load_catch_up(struct load *load, unsigned group_index, int64_t timeout_ns)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    int64_t deadline_ns = engine_clock_ns() + timeout_ns;
    int err = turn_drain(load, group, deadline_ns);
    return err == 0 ? catch_up(load, group, deadline_ns) : err;
}

void load_forget(struct load *load, unsigned group_index)
{
    assert(group_index < load->group_count);
    const struct group *group = &load->groups[group_index];
    for (uint32_t i = 0; i < group->config.clients; i++) {
        struct subscriber *subscriber = &load->subscribers[group->first + i];
        enum link_phase phase = link_of(load, subscriber)->phase;
        if (phase != LINK_DOWN && phase != LINK_CLOSING)
            continue;
        subscriber->place = (struct ledger_place){0};
        subscriber->position = (struct position){0};
    }
}

/* ---- not reading ---- */

static void unstall_link(struct load *load, struct link *link)
{
    const struct protocol *protocol = link_protocol(load, link);
    if (!(link->flags & LINK_STALLED))
        return;
    link->flags &= (uint8_t)~LINK_STALLED;
    if (protocol->grant && link->phase == LINK_UP)
        protocol->grant(load, link, UINT32_MAX);
    link_watch(load, link);
}

static void unstall(struct load *load, struct group *group)
{
    for (uint32_t i = 0; i < group->config.clients; i++) {
        struct subscriber *subscriber = &load->subscribers[group->first + i];
        struct link *link = link_of(load, subscriber);
        if (!(subscriber->flags & SUBSCRIBER_STALLED))
            continue;
        subscriber->flags &= (uint8_t)~SUBSCRIBER_STALLED;
        group->stalled--;
        if (subscriber_ready(subscriber))
            ready_enter(load, subscriber);
        unstall_link(load, link);
    }
}

void link_stall(struct load *load, struct link *link)
{
    struct group *group = link_group(load, link);
    struct subscriber *first = link_first(load, link);
    uint32_t count = link_streams(load, link);
    for (uint32_t i = 0; i < count; i++) {
        if (!(first[i].flags & SUBSCRIBER_UP))
            continue;
        if (subscriber_ready(&first[i]))
            ready_leave(load, &first[i]);
        first[i].flags |= SUBSCRIBER_STALLED;
        group->stalled++;
    }
    link->flags |= LINK_STALLED;
    const struct protocol *protocol = link_protocol(load, link);
    if (protocol->grant)
        protocol->grant(load, link, 0);
}

void load_stall(struct load *load, unsigned group_index, uint32_t count)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    unstall(load, group);
    uint32_t up = group->links_up;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < group->links && up > 0; i++) {
        struct link *link = &load->links[group->first_link + i];
        if (link->phase != LINK_UP)
            continue;
        seen++;
        if (seen * count / up != (seen - 1) * count / up)
            link_stall(load, link);
    }
}

int load_await(struct load *load, unsigned group_index, uint64_t number, int64_t timeout_ns)
{
    load->now_ns = engine_clock_ns();
    int64_t deadline_ns = load->now_ns + timeout_ns;
    int err = 0;
    while (err == 0 && load->now_ns < deadline_ns && load_lacking(load, group_index, number) > 0) {
        int64_t look_ns = load->now_ns + LOOK_MS * INT64_C(1000000);
        while (err == 0 && load->now_ns < look_ns)
            err = engine_step(load);
    }
    return err;
}
