/* cluster: the hubs of this node, and the broker that joins them to those of others.
 *
 * Threads  The one that starts the server.
 * Memory   The set is the caller's. */
#pragma once

#include <stdint.h>

struct broker;
struct hub_set;
struct hub_witness;
struct server;
struct settings;

/* Makes the hub set that the settings ask for, with so many helpers behind the broker's; NULL when
 * memory or descriptors are out. */
struct hub_set *cluster_hubs(const struct settings *settings, const struct broker *broker,
                             unsigned couriers, struct hub_witness *witness, uint64_t seed);

/* Starts the broker's thread, once the shards are there; NULL is allowed. Returns 0, or negative
 * errno when it has said why not. */
int cluster_start(struct broker *broker, struct server *server);
