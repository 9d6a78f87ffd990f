/* reasons: what a server counted by name over a while: whom it closed, what it refused, and why.
 *
 *   closed_…   connections     stream_…   streams, closed     refused_…   requests
 *   flood_…    HTTP/2: bounds on what a client makes it do for nothing     error_…   codes it sent
 *
 * Threads  any.
 * Memory   objects of name → count; new references. */
#pragma once

#include <jansson.h>

#include "measure/http_get.h"

/* As they are now. Those of a server that does not count are none. */
json_t *reasons_read(struct http_get *get);

/* What grew since. */
json_t *reasons_since(struct http_get *get, const json_t *before);
