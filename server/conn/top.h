/* top: the channels that give a shard the most to deliver, while somebody looks.
 *
 * Idea     Space-saving counts (Metwally, Agrawal, El Abbadi 2005): a channel that has no row takes
 *          that with the least, and its count. So each count is too high by at most the least of
 *          them, and who has more than a row's share of all is in the table. A window is a second;
 *          what is shown is the last one that is over.
 * Threads  The shard's.
 * Memory   10 KiB a shard, from the first look on.
 * Bounds   TOP_ROWS channels. Without a look for TOP_WATCH_NS nothing is counted.
 * Cost     A look at a pointer and a time for each batch of a channel; while somebody looks, at the
 *          table. Nothing for a delivery. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"
#include "hub/hub.h"

#define TOP_WINDOW_NS INT64_C(1000000000)
#define TOP_WATCH_NS  INT64_C(5000000000)

enum {
    TOP_ROWS = 32,
};

struct top_row {
    uint64_t deliveries;
    uint64_t messages; /* while it has had this row */
    uint32_t subscribers;
    uint8_t name_len;
    char name[CHANNEL_NAME_MAX];
};

struct top_window {
    int64_t began_ns;
    unsigned count;
    struct top_row rows[TOP_ROWS]; /* in no order */
};

struct top {
    int64_t until_ns; /* counted until then */
    struct top_window now, over;
};

/* A batch is about to be delivered. */
void top_note(struct top *top, int64_t now_ns, const struct hub_batch *batch);

/* Somebody looks, and is shown this until the next call. */
const struct top_window *top_watch(struct top *top, int64_t now_ns);
