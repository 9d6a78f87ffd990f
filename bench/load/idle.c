/* idle: everybody stays, nobody publishes. */
#include "load/engine.h"
#include "phantom/phantom.h"

/* Whether somebody's messages are on their way, which are timed. */
static bool is_timed(const struct load *load)
{
    for (unsigned i = 0; i < load->group_count; i++)
        if (load->groups[i].publisher.active)
            return true;
    return false;
}

int load_idle(struct load *load, int64_t duration_ns, uint32_t polling)
{
    struct group *polls = NULL;
    if (polling != LOAD_ALL && group_is(&load->groups[polling], PROTOCOL_BY_CLOCK))
        polls = &load->groups[polling];
    load->now_ns = engine_clock_ns();
    int64_t until_ns = load->now_ns + duration_ns;
    if (polls)
        poller_start(load, polls);
    int err = 0;
    phantom_rest(load->ring, !polls && !is_timed(load));
    while (err == 0 && load->now_ns < until_ns)
        err = engine_step(load);
    phantom_rest(load->ring, false);
    if (polls)
        polls->poller.active = false;
    return err;
}
