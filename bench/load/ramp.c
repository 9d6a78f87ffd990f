/* ramp: everybody comes up; and the ledgers begin. */
#include <errno.h>

#include "load/engine.h"

/* A message is published again after this; at a million, one takes longer, and several cross. */
#define SETTLE_NS INT64_C(2000000000)

static int publishers_up(struct load *load, uint32_t only)
{
    for (uint32_t i = 0; i < load->group_count; i++) {
        struct group *group = &load->groups[i];
        if ((only != LOAD_ALL && only != i) || !group->config.publish)
            continue;
        int err = publisher_ready(load, group);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Queues those that are down, group after group. Returns how many. */
static uint32_t queue_down(struct load *load, uint32_t only, uint32_t count_max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < load->publisher_links_first && count < count_max; i++) {
        struct link *link = &load->links[i];
        if ((only != LOAD_ALL && only != link->group) || link->phase != LINK_DOWN)
            continue;
        link->attempts = 0;
        opener_queue(load, link);
        count++;
    }
    return count;
}

static void take_failures(const struct load *load, struct load_ramp_result *ret)
{
    memcpy(ret->failures, load->opener.failures, sizeof ret->failures);
    memcpy(ret->errors, load->opener.errors, sizeof ret->errors);
}

static void begin(struct load *load, const struct load_ramp_config *config)
{
    const struct load_backoff *backoff = &config->backoff;
    bool backs_off = backoff->most_ms > 0 || backoff->hints;
    opener_start(load, config->in_flight, config->rate_per_s, backs_off ? LOAD_ATTEMPTS_ANY : 0);
    load->opener.backoff = *backoff;
}

int load_ramp(struct load *load, uint32_t group, const struct load_ramp_config *config,
              struct load_ramp_result *ret)
{
    struct opener *opener = &load->opener;
    *ret = (struct load_ramp_result){0};
    begin(load, config);
    int err = publishers_up(load, group);
    if (err < 0) {
        take_failures(load, ret);
        return err;
    }
    begin(load, config); /* what publishers took is not the ramp's */
    int64_t started_ns = load->now_ns;
    uint32_t wanted = queue_down(load, group, config->count ? config->count : UINT32_MAX);
    while (err == 0 && (opener->opened + opener->failed < wanted || opener->unaccepted > 0)) {
        err = engine_step(load);
        if (err == 0 && config->timeout_ns > 0 && load->now_ns - started_ns > config->timeout_ns)
            err = -ETIMEDOUT;
    }
    opener_abandon(load);
    *ret = (struct load_ramp_result){
        .opened = opener->opened,
        .failed = wanted - opener->opened,
        .retries = opener->retries,
        .elapsed_ns = opener->last_ns - started_ns,
    };
    if (ret->elapsed_ns > 0)
        ret->rate_per_s = ret->opened * 1e9 / (double)ret->elapsed_ns;
    take_failures(load, ret);
    opener_start(load, 0, 0, 0);
    return err;
}

/* Publishes one message to each channel and gives it time: as long as it reaches somebody new. A
 * message to a million takes seconds, and the next one would still be on its way in the turn that
 * follows. */
static int settle_once(struct load *load, struct group *group, int64_t deadline_ns)
{
    const struct load_mode one = {.depth = UINT32_MAX, .messages = group->channels};
    publisher_start(load, group, &one);
    int64_t until_ns = load->now_ns + SETTLE_NS;
    uint32_t ready = group->ready;
    int err = 0;
    while (err == 0 && load->now_ns < until_ns && group->ready < group->up - group->stalled) {
        err = engine_step(load);
        if (group->ready > ready && load->now_ns < deadline_ns)
            until_ns = load->now_ns + SETTLE_NS;
        ready = group->ready;
    }
    publisher_stop(group);
    return err;
}

int load_settle(struct load *load, unsigned group_index, int64_t timeout_ns)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    if (!group->config.publish)
        return -ENOTCONN;
    int err = publisher_ready(load, group);
    int64_t deadline_ns = load->now_ns + timeout_ns;
    if (group_is(group, PROTOCOL_BY_CLOCK))
        poller_start(load, group);
    while (err == 0 && group->ready < group->up - group->stalled) {
        err = settle_once(load, group, deadline_ns);
        if (err == 0 && load->now_ns > deadline_ns)
            err = -ETIMEDOUT;
    }
    if (err == 0)
        err = turn_drain(load, group, deadline_ns);
    group->poller.active = false;
    return err;
}
