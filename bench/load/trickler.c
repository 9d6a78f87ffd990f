/* trickler: reads for the stalled links of a group, a little at a time, each ten times a second,
 * spread over it: as an app behind a bad network reads. */
#include "load/engine.h"

enum {
    READS_PER_S = 10,
};

void load_trickle(struct load *load, unsigned group_index, uint32_t bytes_per_s)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    assert(!group->config.publish);
    uint32_t bytes = bytes_per_s / READS_PER_S;
    if (bytes_per_s > 0 && bytes == 0)
        bytes = 1;
    group->trickler = (struct trickler){
        .bytes = bytes < RECEIVE_BYTES ? bytes : RECEIVE_BYTES,
        .due_ns = (double)engine_clock_ns(),
    };
}

static void trickle(struct load *load, struct link *link, uint32_t bytes)
{
    const struct protocol *protocol = link_protocol(load, link);
    if (protocol->grant)
        protocol->grant(load, link, bytes);
    else
        engine_receive(load, link, bytes);
}

int64_t trickler_step(struct load *load, struct group *group)
{
    struct trickler *trickler = &group->trickler;
    if (trickler->bytes == 0)
        return INT64_MAX;
    const double interval_ns = 1e9 / READS_PER_S, now_ns = (double)load->now_ns;
    if (trickler->due_ns < now_ns - interval_ns)
        trickler->due_ns = now_ns - interval_ns;
    while (trickler->due_ns <= now_ns) {
        struct link *link = &load->links[group->first_link + trickler->cursor];
        trickler->cursor = (trickler->cursor + 1) % group->links;
        trickler->due_ns += interval_ns / group->links;
        if (link->phase == LINK_UP && link->flags & LINK_STALLED)
            trickle(load, link, trickler->bytes);
    }
    return (int64_t)(trickler->due_ns - now_ns);
}
