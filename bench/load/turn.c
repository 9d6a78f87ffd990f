/* turn: one group has the clock. */
#include <errno.h>
#include <sys/resource.h>

#include "load/engine.h"

#define DRAIN_NS INT64_C(5000000000)
#define LOOK_NS  INT64_C(100000000) /* between two walks through the group */
#define LATE_NS  INT64_C(500000000) /* for what comes behind a later message */

/* Where CPU and time are read together, the clock comes first at the beginning and last at the end:
 * a thread that loses its CPU in between has had less than the time, never more. */
int64_t turn_cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    int64_t s = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    return s * 1000000000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

void burst_begin(struct group *group)
{
    struct burst *burst = &group->burst;
    if (burst->begun)
        return;
    burst->begun = true;
    burst->since_ns = engine_clock_ns();
    burst->since_cpu_ns = turn_cpu_ns();
}

void burst_end(struct group *group)
{
    struct burst *burst = &group->burst;
    if (!burst->begun)
        return;
    burst->begun = false;
    burst->cpu_ns += turn_cpu_ns() - burst->since_cpu_ns;
    burst->ns += engine_clock_ns() - burst->since_ns;
}

void turn_begin(struct load *load, struct group *group, struct turn_mark *ret)
{
    flights_give_up(&group->flights); /* of before; who has it yet to come is not this turn's */
    group->turn_after = group->publisher.number;
    load->now_ns = engine_clock_ns();
    *ret = (struct turn_mark){
        .counters = group->counters,
        .incomplete = group->flights.incomplete,
        .missing = group->flights.missing,
        .now_ns = load->now_ns,
        .cpu_ns = turn_cpu_ns(),
        .burst_ns = group->burst.ns,
        .burst_cpu_ns = group->burst.cpu_ns,
    };
}

void turn_end(struct load *load, const struct group *group, const struct turn_mark *mark,
              struct load_turn *ret)
{
    const struct load_counters *from = &mark->counters, *to = &group->counters;
    const int64_t cpu_ns = turn_cpu_ns() - mark->cpu_ns;
    const bool lossy = group_is(group, PROTOCOL_LOSSY); /* the ledger has what was superseded */
    load->now_ns = engine_clock_ns();
    *ret = (struct load_turn){
        .started_ns = mark->now_ns,
        .elapsed_ns = load->now_ns - mark->now_ns,
        .publishes = to->published - from->published,
        .deliveries = to->deliveries - from->deliveries - (to->late - from->late),
        .incomplete = lossy ? 0 : group->flights.incomplete - mark->incomplete,
        .missing = lossy ? 0 : group->flights.missing - mark->missing,
        .bytes_in = to->bytes_in - from->bytes_in,
        .bytes_out = to->bytes_out - from->bytes_out,
        .payload_bytes = to->payload_bytes - from->payload_bytes,
        .framed_bytes = to->framed_bytes - from->framed_bytes,
        .requests = to->requests - from->requests,
        .empty_answers = to->empty_answers - from->empty_answers,
        .client_cpu_ns = cpu_ns,
        .burst_ns = group->burst.ns - mark->burst_ns,
        .burst_cpu_ns = group->burst.cpu_ns - mark->burst_cpu_ns,
    };
}

static bool under_way(struct load *load, struct group *group)
{
    if (group_publisher(load, group)->flags & LINK_BACKLOG)
        return true;
    return group->flights.open > 0 || group->echoes > 0;
}

/* Everybody has gone past what is under way: it would come out of order, if it came. */
static bool passed(struct load *load, struct group *group)
{
    return group->flights.open > 0 && group->echoes == 0 &&
           !(group_publisher(load, group)->flags & LINK_BACKLOG) && !group_behind(load, group);
}

int turn_drain(struct load *load, struct group *group, int64_t deadline_ns)
{
    int64_t look_ns = load->now_ns + LOOK_NS, passed_ns = 0;
    int err = 0;
    while (err == 0 && under_way(load, group) && load->now_ns < deadline_ns) {
        err = engine_step(load);
        if (load->now_ns < look_ns)
            continue;
        look_ns = load->now_ns + LOOK_NS;
        if (!passed(load, group))
            passed_ns = 0;
        else if (passed_ns == 0)
            passed_ns = load->now_ns;
        else if (load->now_ns - passed_ns >= LATE_NS)
            break;
    }
    flights_give_up(&group->flights);
    burst_end(group);
    return err;
}

/* Every client sends its first message; each echo brings the next. */
static void echo_start(struct load *load, struct group *group)
{
    group->echoing = true;
    for (uint32_t i = 0; i < group->config.clients; i++) {
        struct subscriber *subscriber = &load->subscribers[group->first + i];
        if (subscriber_connected(load, subscriber) &&
            !(subscriber->flags & (SUBSCRIBER_ASKED | SUBSCRIBER_STALLED)))
            ws_echo(load, subscriber);
    }
}

static bool hopeless(const struct load *load, struct group *group)
{
    int64_t patience_ns = group->publisher.mode.hopeless_ns;
    return group->publisher.active && patience_ns > 0 &&
           flights_oldest_ns(&group->flights) < load->now_ns - patience_ns;
}

/* Publishes until the time is over, the wanted number of messages is sent, or it is hopeless. */
static int publish_until(struct load *load, struct group *group, int64_t until_ns)
{
    const struct publisher *publisher = &group->publisher;
    int err = 0;
    while (err == 0 && (load->now_ns < until_ns || (until_ns == 0 && publisher->active))) {
        if (publisher->active && (publisher->left == 0 || hopeless(load, group)))
            return 0;
        if (publisher->active && group_publisher(load, group)->phase != LINK_UP)
            return -ENOTCONN;
        if (until_ns == 0 && group->up == group->stalled)
            return -ENOTCONN;
        err = engine_step(load);
    }
    return err;
}

int load_run_turn(struct load *load, unsigned group_index, int64_t duration_ns, int64_t drain_ns,
                  const struct load_mode *mode, struct load_turn *ret)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    bool echoes = group_is(group, PROTOCOL_ECHOES);
    *ret = (struct load_turn){0};
    bool publishes = !echoes && mode && (mode->depth > 0 || mode->rate_per_s > 0);
    if (publishes && !group->config.publish)
        return -ENOTCONN;
    int err = publishes ? publisher_ready(load, group) : 0;
    if (err < 0)
        return err;

    struct turn_mark mark;
    turn_begin(load, group, &mark);
    if (group_is(group, PROTOCOL_BY_CLOCK))
        poller_start(load, group);
    if (publishes)
        publisher_start(load, group, mode);
    if (echoes)
        echo_start(load, group);
    err = publish_until(load, group, duration_ns > 0 ? mark.now_ns + duration_ns : 0);
    bool given_up = hopeless(load, group);
    publisher_stop(group);
    group->echoing = false;
    if (err == 0)
        err = turn_drain(load, group, load->now_ns + (drain_ns > 0 ? drain_ns : DRAIN_NS));
    group->poller.active = false;
    turn_end(load, group, &mark, ret);
    ret->hopeless = given_up;
    return err;
}
