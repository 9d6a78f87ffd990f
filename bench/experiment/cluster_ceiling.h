/* cluster_ceiling: what the engine takes when nothing but its own benchmark asks: the same command
 * that a node sends, again and again, pipelined as deep; and a plain PUBLISH of as many bytes.
 *
 *     MONITOR ─► a publish on a node ─► "evalsha" … ─► redis-benchmark evalsha …
 *
 * Idea     The command is not written down here: it is taken from what a node sends, so that the
 *          two are the same whatever the script becomes. Only zero bytes in it become '0', as no
 *          word of a command line has any.
 * Threads  one.
 * Memory   ceiling_learn to ceiling_done.
 * Bounds   CEILING_WORDS_MAX words, CEILING_TEXT_MAX bytes. */
#pragma once

#include "experiment/cluster_nodes.h"

enum {
    CEILING_WORDS_MAX = 48,
    CEILING_TEXT_MAX = 1 << 20,
};

enum ceiling_kind {
    CEILING_SCRIPT,
    CEILING_PLAIN,
    CEILING_KINDS,
};

struct ceiling {
    const struct cluster *cluster;
    char *text; /* the words, one after the other */
    const char *words[CEILING_KINDS][CEILING_WORDS_MAX + 1];
    double per_s[CEILING_KINDS]; /* of the last run; 0: there was none */
};

/* One run. */
struct ceiling_turn {
    uint64_t count;
    int64_t elapsed_ns, engine_cpu_ns;
};

/* Hears what a node sends for a publish. Returns 0 or negative errno, after a sentence. */
int ceiling_learn(struct ceiling *ceiling, const struct cluster *cluster);
void ceiling_done(struct ceiling *ceiling);

/* About duration_ns of it, `depth` in a pipeline on a connection for each node; likewise. */
int ceiling_run(struct ceiling *ceiling, enum ceiling_kind kind, uint32_t depth,
                int64_t duration_ns, struct ceiling_turn *ret);
