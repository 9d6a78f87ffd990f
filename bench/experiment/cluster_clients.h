/* cluster_clients: who is connected to a cluster: for each purpose a group of each node, whose
 * publisher publishes there.
 *
 * Threads  one.
 * Memory   in the field.
 * Bounds   PURPOSES × CLUSTER_NODES_MAX groups. */
#pragma once

#include "experiment/cluster_nodes.h"
#include "experiment/field.h"

/* Of a group of each node. */
enum purpose {
    FOR_HISTORY, /* publishes with a history: a subscriber on each node, so that all of them hear */
    FOR_PLAIN,   /* likewise without one */
    FOR_FANOUT,  /* --subscribers over all nodes */
    FOR_WITHIN,  /* half of them on the publisher's own node */
    FOR_ACROSS,  /* and half on the next one, in the same channels */
    FOR_TROUBLE, /* --subscribers over all nodes, and publishes that are asked again */
    PURPOSES,
};

struct clients {
    struct cluster *cluster;
    struct field field;
    unsigned first[PURPOSES]; /* entrant of the first node */
    unsigned purposes;        /* without trouble one less */
};

/* Connects all, settled. Returns 0 or negative errno, after a sentence. */
int clients_open(struct clients *clients, struct cluster *cluster, bool trouble);

/* How many connections a node has, at most. */
uint32_t clients_of_node(const struct options *options);

/* A contestant, with what its groups have. */
struct contestant *clients_contestant(struct clients *clients, const char *name,
                                      const char *workload, enum purpose purpose);

/* All groups of a purpose have the clock at once. The turn is the sum of theirs; `into` NULL: not
 * counted. */
int clients_turn(struct clients *clients, enum purpose purpose, const struct load_mode *mode,
                 unsigned round, struct contestant *into, struct turn *ret);

/* Gives the contestant the ledgers of its groups; what was known at `before` is left out. */
void clients_ledger(struct clients *clients, enum purpose purpose,
                    const struct load_ledger before[CLUSTER_NODES_MAX], struct contestant *into);
void clients_ledgers(const struct clients *clients, enum purpose purpose,
                     struct load_ledger ret[CLUSTER_NODES_MAX]);
/* Connections of its groups that were ended: charged to the contestant; NULL: they were meant. */
void clients_failures(struct clients *clients, enum purpose purpose, struct contestant *into);
