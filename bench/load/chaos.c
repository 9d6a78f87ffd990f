/* chaos: connections of all groups end at random while messages flow, and all come back. */
#include <math.h>

#include "load/engine.h"
#include "phantom/random.h"

enum {
    LOOK_MS = 50, /* between two walks through all links */
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MOST_MS = 1000,
};

/* Any connection that there is, also one that is being opened; half of them by a reset. */
static bool cut_one(struct load *load, uint64_t *random)
{
    uint32_t count = load->publisher_links_first;
    struct link *link = &load->links[random_next(random) % count];
    bool orderly = random_next(random) & 1;
    if (!link_open(link) || link->flags & LINK_CYCLING)
        return false;
    opener_again(load, link);
    link_close(load, link, orderly);
    return true;
}

/* Whom the server has ended comes back too, and publishers, of groups that have one. */
static void bring_back(struct load *load)
{
    for (uint32_t i = 0; i < load->link_count; i++)
        if (load->links[i].phase == LINK_DOWN && link_protocol(load, &load->links[i]))
            opener_again(load, &load->links[i]);
}

static void begin(struct load *load)
{
    load->now_ns = engine_clock_ns();
    opener_start(load, 0, 0, LOAD_ATTEMPTS_ANY);
    load->opener.backoff = (struct load_backoff){BACKOFF_FIRST_MS, BACKOFF_MOST_MS, true};
    for (unsigned i = 0; i < load->group_count; i++)
        if (group_is(&load->groups[i], PROTOCOL_BY_CLOCK))
            poller_start(load, &load->groups[i]);
}

int load_chaos(struct load *load, const struct load_chaos *chaos, struct load_chaos_result *ret)
{
    begin(load);
    *ret = (struct load_chaos_result){0};
    int64_t until_ns = load->now_ns + chaos->duration_ns, look_ns = load->now_ns;
    double due_ns = (double)load->now_ns;
    int err = 0;
    while (err == 0 && load->now_ns < until_ns) {
        while (chaos->cuts_per_s > 0 && due_ns <= (double)load->now_ns) {
            double part = random_part(random_next(chaos->random));
            due_ns -= log(1 - part) * 1e9 / chaos->cuts_per_s;
            ret->cut += cut_one(load, chaos->random);
        }
        if (look_ns <= load->now_ns) {
            look_ns = load->now_ns + LOOK_MS * INT64_C(1000000);
            bring_back(load);
        }
        err = engine_step(load);
    }
    ret->retries = load->opener.retries;
    return err;
}

static bool all_have_all(const struct load *load)
{
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].up < load->groups[i].config.clients ||
            group_behind(load, &load->groups[i]))
            return false;
    return true;
}

int load_chaos_end(struct load *load, int64_t timeout_ns)
{
    begin(load);
    for (unsigned i = 0; i < load->group_count; i++)
        publisher_end(&load->groups[i]);
    int64_t deadline_ns = load->now_ns + timeout_ns;
    int err = 0;
    while (err == 0 && load->now_ns < deadline_ns && !all_have_all(load)) {
        int64_t look_ns = load->now_ns + LOOK_MS * INT64_C(1000000);
        bring_back(load);
        while (err == 0 && load->now_ns < look_ns)
            err = engine_step(load);
    }
    for (unsigned i = 0; i < load->group_count; i++) {
        publisher_stop(&load->groups[i]);
        load->groups[i].poller.active = false;
    }
    opener_start(load, 0, 0, 0);
    return err;
}
