/* together: several groups have the clock at once. */
#include <errno.h>

#include "load/engine.h"

#define DRAIN_NS INT64_C(5000000000)

static int begin(struct load *load, const unsigned *groups, unsigned count,
                 const struct load_mode *mode, struct turn_mark *marks)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && i < count; i++) {
        assert(groups[i] < load->group_count);
        struct group *group = &load->groups[groups[i]];
        err = group->config.publish ? publisher_ready(load, group) : -ENOTCONN;
    }
    for (unsigned i = 0; err == 0 && i < count; i++)
        turn_begin(load, &load->groups[groups[i]], &marks[i]);
    for (unsigned i = 0; err == 0 && i < count; i++)
        publisher_start(load, &load->groups[groups[i]], mode);
    return err;
}

static int publish_until(struct load *load, const unsigned *groups, unsigned count,
                         int64_t until_ns)
{
    int err = 0;
    while (err == 0 && load->now_ns < until_ns) {
        for (unsigned i = 0; i < count; i++)
            if (group_publisher(load, &load->groups[groups[i]])->phase != LINK_UP)
                return -ENOTCONN;
        err = engine_step(load);
    }
    return err;
}

int load_run_together(struct load *load, const unsigned *groups, unsigned count,
                      int64_t duration_ns, int64_t drain_ns, const struct load_mode *mode,
                      struct load_turn *rets)
{
    struct turn_mark marks[LOAD_GROUPS_MAX] = {0};
    assert(count > 0 && count <= LOAD_GROUPS_MAX);
    int err = begin(load, groups, count, mode, marks);
    if (err < 0)
        return err;
    err = publish_until(load, groups, count, marks[0].now_ns + duration_ns);
    for (unsigned i = 0; i < count; i++)
        publisher_stop(&load->groups[groups[i]]);
    int64_t deadline_ns = load->now_ns + (drain_ns > 0 ? drain_ns : DRAIN_NS);
    for (unsigned i = 0; i < count; i++) {
        if (err == 0)
            err = turn_drain(load, &load->groups[groups[i]], deadline_ns);
        turn_end(load, &load->groups[groups[i]], &marks[i], &rets[i]);
    }
    return err;
}
