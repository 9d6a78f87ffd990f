/* gap: some of what was to be published is gone before it came here, and nobody knows of which
 * channels. A helper that reads from elsewhere says so to each shard.
 *
 * Idea     All channels of a scope that are at home here begin a new epoch: those who subscribe are
 *          ended (hub_ops.lost), come back with their position, and are told that it is not
 *          recovered. So are those who come back later. Channels that are not there, have no
 *          position that holds.
 * Threads  The asker's; gap_run is the shard's.
 * Memory   The asker's, as a call's.
 * Bounds   A turn walks as many channels as it forgets, or a 128th of all: the table's parts. */
#pragma once

#include "hub/call.h"
#include "hub/remote.h"

struct hub_set;

struct gap {
    struct call call; /* its `run` is gap_run; err: 0, or -ENOTSUP: an engine numbers them */
    struct hub_set *set;
    unsigned shard;
    const struct remote_scope *scope;
    uint64_t channels; /* the answer: that began anew */
    /* The walk's: */
    struct gap *next;
    unsigned part;
    uint64_t epoch; /* of all that it has been at */
};

void gap_run(void *shard, struct call *call);
