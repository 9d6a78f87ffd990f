/* interest: which endpoints may want an event, found without asking all of them.
 *
 *   channels are names and beginnings (news:*)  ─► by channel ─┐
 *   else types are such                         ─► by type ────┼─► endpoints, each once
 *   else                                        ─► all others ─┘
 *
 * Idea     An event is looked up by its whole name, and by each of its beginnings that is as long
 *          as one that somebody has: what it costs depends on how many lengths there are, and not
 *          on how many endpoints. What has other patterns is asked for each event.
 * Threads  The courier's.
 * Memory   A pointer for each name of an endpoint, or one for each endpoint.
 * Bounds   ENDPOINT_PATTERNS_MAX names of an endpoint, of ENDPOINT_PATTERN_MAX bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "courier/endpoint.h"
#include "wire/span.h"

struct interest_node;

struct endpoint_list {
    struct endpoint **at;
    unsigned count, room;
};

/* Names and beginnings. */
struct interest_index {
    struct interest_node *nodes;
    unsigned beginnings[ENDPOINT_PATTERN_MAX + 1]; /* that have so many bytes */
};

struct interest {
    struct interest_index by_channel, by_type;
    struct endpoint_list others;
    uint64_t asked; /* events that were asked about */
};

/* Returns 0 or -ENOMEM: then it is as before. */
int interest_add(struct interest *interest, struct endpoint *endpoint);
void interest_remove(struct interest *interest, const struct endpoint *endpoint);
void interest_done(struct interest *interest);

/* Tells of each endpoint that may want it, until `told` says false. Returns what that said. */
typedef bool interest_told(void *context, struct endpoint *endpoint);
bool interest_ask(struct interest *interest, struct span type, struct span channel,
                  interest_told *told, void *context);
