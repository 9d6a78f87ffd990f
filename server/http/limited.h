/* limited: requests and publishes that the limits of an address let in, or not.
 *
 * Idea     On a trusted proxy's connection each request has a client of its own, which the field
 *          proxy_header names.
 * Threads  The shard's.
 * Errors   Who is not let in is answered 429 with a time to come back (an EventSource: by a stream
 *          that ends behind it), and the connection ends: to ask again is to connect again. */
#pragma once

#include <stdbool.h>

#include "http/exchange.h"

/* Of a shard with a log: whose request it is. */
void http_logged_request(struct shard *shard, struct conn *conn,
                         const struct http_request *request);

/* Of a shard with limits. They return true when the client has had its share, and has been told. */
bool http_limited_request(struct shard *shard, struct conn *conn, const struct route *route,
                          const struct http_request *request);
bool http_limited_publish(struct shard *shard, struct conn *conn);
