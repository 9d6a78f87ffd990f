/* visits: connections that are reset as soon as they are up: what it takes to let somebody in, and
 * nothing else. */
#include <errno.h>

#include "load/engine.h"

/* Behind it every client that was under way is up, or has failed. */
#define VISITS_END_NS INT64_C(15000000000)

static void queue_all(struct load *load, const struct group *group)
{
    for (uint32_t i = 0; i < group->links; i++) {
        struct link *link = &load->links[group->first_link + i];
        assert(link->phase == LINK_DOWN);
        link->attempts = 0;
        opener_queue(load, link);
    }
}

/* Resets those that are up; `again`: for another visit. Returns how many. */
static uint32_t leave_all(struct load *load, const struct group *group, bool again)
{
    uint32_t count = 0;
    for (uint32_t i = 0; group->links_up > 0 && i < group->links; i++) {
        struct link *link = &load->links[group->first_link + i];
        if (link->phase != LINK_UP)
            continue;
        if (again)
            opener_again(load, link);
        link_close(load, link, false);
        count++;
    }
    return count;
}

static bool all_down(const struct load *load, const struct group *group)
{
    for (uint32_t i = 0; i < group->links; i++)
        if (load->links[group->first_link + i].phase != LINK_DOWN)
            return false;
    return true;
}

/* Lets those under way come to their end, and nobody begin again. */
static int finish(struct load *load, const struct group *group, uint64_t *visits)
{
    int64_t deadline_ns = load->now_ns + VISITS_END_NS;
    int err = 0;
    load->opener.attempts_max = 1;
    opener_abandon(load);
    while (err == 0 && !all_down(load, group)) {
        err = load->now_ns < deadline_ns ? engine_step(load) : -ETIMEDOUT;
        opener_abandon(load);
        *visits += leave_all(load, group, false);
    }
    return err;
}

int load_visits(struct load *load, unsigned group_index, int64_t duration_ns, struct load_turn *ret)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    struct turn_mark mark;
    uint64_t visits = 0;
    int err = 0;
    turn_begin(load, group, &mark);
    opener_start(load, group->links, 0, 0);
    queue_all(load, group);
    while (err == 0 && load->now_ns - mark.now_ns < duration_ns) {
        err = engine_step(load);
        visits += leave_all(load, group, true);
    }
    if (err == 0)
        err = finish(load, group, &visits);
    turn_end(load, group, &mark, ret);
    ret->visits = visits;
    opener_start(load, 0, 0, 0);
    return err;
}
