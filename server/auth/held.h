/* held: requests with a login ticket, in a cluster, until its engine has said that the ticket was
 * not taken on any node.
 *
 *   head ─► its ticket is genuine ─► kept, as a copy ─► engine: taken by us ─► served
 *                                                            └─ before ─► refused
 *
 * Threads  The shard's.
 * Memory   A copy of the request's head, in conn_extra, until it is served.
 * Bounds   broker_timeout_ms, nodes_send. A ticket is for a request without a body.
 * Errors   Refusals: ticket_invalid, broker_down. */
#pragma once

#include "http/exchange.h"

extern const struct transport held_transport;

/* For struct server: holds a request that brings a ticket. Returns false for all others. */
bool tickets_hold(struct shard *shard, struct conn *conn, const struct route *route,
                  const struct exchange *exchange);
