/* order_text: an order to sessions, as it goes from node to node.
 *
 *   2 3503 0 0 0 0 0 5 0 0 16 0\n alice force disconnect
 *   │ │    │ │ │ │ │ └─ lengths of user, client, channel, reason, keep, which follow
 *   │ │    │ │ └─┴─┴─ of a subscription: since.from, epoch, offset
 *   │ │    │ └─ expired
 *   │ │    └─ ends_s
 *   │ └─ code
 *   └─ kind
 *
 * Idea     What another node says is taken for hostile, and as strict as what a server may ask.
 * Threads  any.
 * Memory   Spans point into what was read. */
#pragma once

#include "session/orders.h"

/* How long the text is at most, and the text. Returns its length. */
size_t order_text_room(const struct order *order);
size_t order_text_write(char *ret, const struct order *order);

/* Returns 0, or -EINVAL: it is none. */
int order_text_read(struct order *ret, struct span text);
