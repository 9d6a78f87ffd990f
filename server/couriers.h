/* couriers: the threads that post to the servers of others, made and ended with the shards.
 *
 * Threads  The one that starts the server.
 * Memory   In struct server. */
#pragma once

#include <stddef.h>

struct hub_witness;
struct server;
struct settings;

/* Makes those that the settings need. Returns 0, or negative errno and a sentence. */
int couriers_create(struct server *server, const struct settings *settings, char *why,
                    size_t why_size);
unsigned couriers_count(const struct server *server);
/* Who hears what happens to channels; NULL: nobody. */
struct hub_witness *couriers_witness(const struct server *server);
/* Starts them, as the helpers of the set from `which` on; the shards are there. Returns 0, or
 * negative errno when it has said why not. */
int couriers_start(struct server *server, unsigned which);
/* Behind the end of the shards, and before they are freed. */
void couriers_end(struct server *server);
void couriers_free(struct server *server);
