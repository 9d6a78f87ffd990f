/* cluster: the hubs of this node, the broker that joins them to those of others, and what they read
 * from Kafka.
 *
 * Threads  The one that starts the server.
 * Memory   The set is the caller's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct broker;
struct hub_set;
struct hub_witness;
struct kafka;
struct server;
struct settings;

/* Makes the threads that the settings ask for: of an engine, couriers, Kafka's. Returns 0, or
 * negative errno and a sentence. */
int cluster_create(struct broker **ret, struct server *server, const struct settings *settings,
                   uint64_t seed, char *why, size_t why_size);

/* Makes the hub set that the settings ask for, with so many helpers behind the broker's, and behind
 * those the one for Kafka; NULL when memory or descriptors are out. */
struct hub_set *cluster_hubs(const struct settings *settings, const struct broker *broker,
                             const struct kafka *kafka, unsigned couriers,
                             struct hub_witness *witness, uint64_t seed);

/* Starts the broker's thread, once the shards are there, where NULL is allowed, and the one that
 * reads Kafka, if there is one. Returns 0, or negative errno when it has said why not. */
int cluster_start(struct broker *broker, struct server *server);

/* What is said at the start. */
void cluster_announce(const struct broker *broker, const struct server *server);

/* Stops and joins all of them: behind the end of the shards, and before they are freed. */
void cluster_end(struct broker *broker, struct server *server);
