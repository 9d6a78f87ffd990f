/* client: whose connection it is, and what its address may still take of what is limited.
 *
 *   accepted ─► client_accepted ─┬─ counted ─► each request, each publish: client_take ─► closed
 *    or named ─► client_named     ├─ a trusted proxy's: each request has a client of its own
 *                                 └─ reset
 *
 * Idea     A shard without limits has no `clients`, and none of this is called.
 * Threads  The shard's. What it counts in is shared by all: conn/addresses.h.
 * Memory   8 bytes for each slot, reserved for all and touched as slots come into use. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/addresses.h"

struct conn;
struct settings;
struct shard;

/* Makes the shared table; NULL when no limit is set. Returns 0 or -ENOMEM. */
int clients_table(struct addresses **ret, const struct settings *settings, const uint64_t seed[2]);

/* Returns 0 or -ENOMEM. */
int clients_init(struct shard *shard);
void clients_done(struct shard *shard);

/* Returns false when its address has too many, or too many in a second: then it is closed. Behind
 * the PROXY protocol it is nobody's yet. */
bool client_accepted(struct shard *shard, struct conn *conn);
/* A proxy has said whose it is; likewise. */
bool client_named(struct shard *shard, struct conn *conn, const struct in6_addr *address);
/* Of a connection with LINK_TRUSTED: whose request is being answered; NULL: the proxy's own. */
void client_of_request(struct shard *shard, struct conn *conn, const struct in6_addr *address);
/* One with LINK_COUNTED. */
void client_closed(struct shard *shard, struct conn *conn);

/* Takes one of a rate for the connection's client and returns 0, or returns the milliseconds after
 * which there will be one. */
uint32_t client_take(struct shard *shard, const struct conn *conn, enum address_rate rate);
