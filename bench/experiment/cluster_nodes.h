/* cluster_nodes: the engine of a cluster and its nodes, as processes: started, killed, started
 * again, cut off.
 *
 * Threads  one.
 * Memory   in place; the engine keeps its files in a folder that goes with it.
 * Bounds   CLUSTER_NODES_MAX. */
#pragma once

#include "experiment/bench.h"
#include "experiment/cluster_lab.h"

enum {
    CLUSTER_NODES_MAX = 4,
    CLUSTER_WORDS_MAX = 64,
    CLUSTER_WORD_MAX = 128,
};

/* A command line that outlives what it started. */
struct cluster_command {
    char words[CLUSTER_WORDS_MAX][CLUSTER_WORD_MAX];
    char *argv[CLUSTER_WORDS_MAX + 1];
    unsigned count;
    char program[BENCH_PATH_MAX];
};

struct cluster_node {
    struct server *server;
    struct cluster_command command;
};

struct cluster {
    struct bench *bench;
    struct lab lab;
    struct process engine;
    struct sockaddr_in engine_address;
    int engine_held_fd;
    struct cluster_command engine_command;
    char folder[CLUSTER_WORD_MAX];
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    struct sockaddr_in addresses[CLUSTER_NODES_MAX]; /* of the nodes */
    unsigned count;
};

/* Starts the engine, then --nodes nodes for so many connections each. `settings` are those of the
 * nodes, ended by NULL. Returns 0 or negative errno, after a sentence. */
int cluster_start(struct cluster *cluster, struct bench *bench, uint32_t connections,
                  const char *const *settings);
/* Ends all. Returns `err`, or without one that of a node that did not leave in order. */
int cluster_stop(struct cluster *cluster, int err);

/* kill -9, and a start with the same words. */
void cluster_kill_node(struct cluster *cluster, unsigned node);
int cluster_start_node(struct cluster *cluster, unsigned index);
void cluster_kill_engine(struct cluster *cluster);
int cluster_start_engine(struct cluster *cluster);

/* Neither hears the other any longer; or again. */
int cluster_cut(struct cluster *cluster, unsigned node, bool cut);

int64_t cluster_nodes_cpu_ns(const struct cluster *cluster);
