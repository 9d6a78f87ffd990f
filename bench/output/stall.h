/* stall: what readers that stopped reading, or read too slowly, have cost, and what they have lost.
 *
 * Threads  one.
 * Memory   stall_create to stall_free; ratios grow. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "output/spread.h"

struct stall {
    const char *policy;
    uint32_t readers;   /* that stopped or trickled, in each turn */
    uint32_t trickling; /* of them */
    unsigned turns;

    uint64_t queue_bytes_max; /* what may wait for one of them */
    uint64_t bound_bytes;     /* and for all */
    /* The most that was seen in any turn; the last two are growth since the turn began. */
    uint64_t queue_bytes, rss_bytes, tcp_bytes;
    uint64_t queue_left; /* when they had read everything */

    /* Over all turns. */
    uint64_t closed;  /* connections that the server ended for not reading */
    uint64_t dropped; /* messages, by the server's count; then by theirs */
    uint64_t lost, duplicate, out_of_order, corrupt;
    uint64_t returned;           /* of the closed: came back with their position */
    uint64_t trickling_returned; /* of these */
    uint64_t unrecovered;
    uint64_t trickled; /* messages that reached those who trickle while they did */
    uint64_t latest;   /* had the latest message in the end; of readers x turns */

    double *ratios; /* of the others' p99: with them ÷ without, one for each turn */
    unsigned ratio_count;
};

struct stall *stall_create(void);

/* Accepts NULL. */
void stall_free(struct stall *stall);

void stall_ratio(struct stall *stall, double ratio);
struct spread stall_ratios(const struct stall *stall);

/* The object of docs/RESULTS.md without its spread; a new reference. */
json_t *stall_json(const struct stall *stall);
