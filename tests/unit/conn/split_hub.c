/* Apart from split.h: the hub's own header has names that http/ and conn/ have, too. */
#include "split_hub.h"

#include "hub/hub_internal.h"

uint32_t split_hub_channels(const struct hub *hub)
{
    return hub->home.count;
}

void split_hub_rewind(struct hub *hub)
{
    hub->home.random = 0;
}
