/* silence: clients that vanish without a word. */
#include "load/engine.h"
#include "phantom/phantom.h"
#include "phantom/random.h"

void load_silence(struct load *load, unsigned group_index)
{
    assert(group_index < load->group_count);
    const struct group *group = &load->groups[group_index];
    for (uint32_t i = group->first_link; i < group->first_link + group->links; i++)
        if (load->links[i].phase == LINK_UP)
            phantom_silence(load->ring, i);
}

uint32_t load_vanish(struct load *load, unsigned group_index, double share, uint64_t seed)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    uint32_t count = 0;
    for (uint32_t i = 0; i < group->links; i++) {
        struct link *link = &load->links[group->first_link + i];
        uint64_t state = seed << 32 ^ (uint64_t)group_index << 24 ^ i;
        if (random_part(random_next(&state)) >= share || link->phase != LINK_UP ||
            link->flags & LINK_STALLED)
            continue;
        link_stall(load, link);
        phantom_silence(load->ring, link_index(load, link));
        count++;
    }
    return count;
}
