/* split_hub: what split.h wants of the inside of a hub.
 *
 * Threads  one. */
#pragma once

#include <stdint.h>

struct hub;

/* Channels that it is home to. */
uint32_t split_hub_channels(const struct hub *hub);

/* The next channel has the epoch again that the first one had. */
void split_hub_rewind(struct hub *hub);
