/* silence: clients that vanish without a word. */
#include "load/engine.h"
#include "phantom/phantom.h"

void load_silence(struct load *load, unsigned group_index)
{
    assert(group_index < load->group_count);
    const struct group *group = &load->groups[group_index];
    for (uint32_t i = group->first_link; i < group->first_link + group->links; i++)
        if (load->links[i].phase == LINK_UP)
            phantom_silence(load->ring, i);
}
