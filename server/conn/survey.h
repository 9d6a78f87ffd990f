/* survey: a question to several shards, which each of them answers in steps; one answer to all.
 *
 *   survey_ask ─► part ─► its shard: step, one a turn ─► answered ─┐
 *              └► part ─► its shard: step, step …     ─► answered ─┴► done, with all parts
 *
 * Idea     What has to look at all connections of a shard, or at all of its channels, would hold it
 *          up: it looks at some of them each turn, and calls itself to go on (hub/call.h).
 * Threads  survey_ask and `done` on the asker's, `step` on the part's shard, `free` on any.
 * Memory   The user's parts, each made with what is asked behind its head; freed behind `done`. 32
 *          bytes for what they share.
 * Bounds   Those of calls. */
#pragma once

#include "conn/conn.h"
#include "hub/call.h"

struct nodes_heard;
struct survey;
struct survey_part;

struct survey_ops {
    /* Does some of it. Returns whether there is more; an error is noted in `part->call.err`. */
    bool (*step)(struct shard *shard, struct survey_part *part);
    /* All have answered. `parts` are in no order; `err`: the first error of any. Only while the
     * connection is there. */
    void (*done)(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                 struct survey_part *parts, int err);
    void (*free)(struct survey_part *part);
    /* Likewise where nobody's connection asks, but another node; and where that will not be told,
     * as its shard goes. NULL: only connections do. */
    void (*told)(struct shard *shard, struct nodes_heard *heard, struct survey_part *parts,
                 int err);
};

/* A shard's call to itself. */
struct survey_step {
    struct call call;
    struct survey_part *part;
};

struct survey_part {
    struct call call; /* to the shard, and back */
    struct survey_step step;
    struct survey *survey;
    struct survey_part *next; /* of those that have answered */
};

/* Asks the shards from `first` on, `count` of them. `make` returns a part with the question, or
 * NULL when memory is out. Returns 0, -ENOMEM or -ENOBUFS; then nobody was asked. Where only some
 * could be asked, `done` is told so. */
int survey_ask(struct shard *shard, const struct ticket *ticket, unsigned first, unsigned count,
               struct survey_part *(*make)(const void *what), const void *what,
               const struct survey_ops *ops);

/* The same for another node, whose question is handed over on success. */
int survey_hear(struct shard *shard, struct nodes_heard *heard, unsigned first, unsigned count,
                struct survey_part *(*make)(const void *what), const void *what,
                const struct survey_ops *ops);
