/* interest: which endpoints may want an event, found without asking all of them.
 *
 *   channels are names        ─► by channel ─► endpoints
 *   patterns, or no channels  ─► a list that is asked for each event
 *
 * Threads  The courier's.
 * Memory   A pointer for each name of a channel that an endpoint has, or one for each endpoint.
 * Bounds   ENDPOINT_PATTERNS_MAX names of an endpoint. */
#pragma once

#include <stdbool.h>

#include "wire/span.h"

struct channel_interest;
struct endpoint;

struct endpoint_list {
    struct endpoint **at;
    unsigned count, room;
};

struct interest {
    struct channel_interest *by_channel;
    struct endpoint_list others;
};

/* Returns 0 or -ENOMEM: then it is as before. */
int interest_add(struct interest *interest, struct endpoint *endpoint);
void interest_remove(struct interest *interest, const struct endpoint *endpoint);
void interest_done(struct interest *interest);

/* Those whose channels have the name. The others are in `others`. */
const struct endpoint_list *interest_in(const struct interest *interest, struct span channel);
