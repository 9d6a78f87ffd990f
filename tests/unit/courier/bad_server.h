/* bad_server: an HTTP server on a loopback port that answers as its path says, mostly badly.
 *
 *   /ok /echo                 200, with a short body, or with what was sent
 *   /mute /drip               nothing at all; a head, and then now and then a byte
 *   /endless /head            a body, or a head, without end
 *   /away                     302, to /ok
 *   /garbage /cut /reset      no HTTP; less than the length that it said; a reset
 *   /later                    503, Retry-After: 7
 *
 * Threads  One accepts, and one for each connection answers. */
#pragma once

#include <stdint.h>

struct bad_server;

struct bad_server *bad_server_start(void);
uint16_t bad_server_port(const struct bad_server *server);
void bad_server_stop(struct bad_server *server);
