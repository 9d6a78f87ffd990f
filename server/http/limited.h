/* limited: requests and publishes that the limits of an address let in, or not.
 *
 * Threads  The shard's.
 * Errors   Who is not let in is answered 429 with a time to come back (an EventSource: by a stream
 *          that ends behind it), and the connection ends: to ask again is to connect again. */
#pragma once

#include <stdbool.h>

#include "conn/addresses.h"
#include "http/exchange.h"

/* Of a shard with limits. Returns true when the client has had its share, and has been told so. */
bool http_limited(struct shard *shard, struct conn *conn, const struct route *route,
                  enum address_rate rate);
