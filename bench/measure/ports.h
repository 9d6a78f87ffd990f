/* ports: where the servers of a run listen.
 *
 * Idea     The kernel chooses the port, and a socket that is bound to it and does not listen holds
 *          it: nobody else is given it, neither as a server's port nor as a client's, however many
 *          benches run beside this one. A server can listen there all the same, as long as it sets
 *          SO_REUSEADDR, which every server does that can be started again at once.
 * Threads  any. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

/* Takes a port of an address of this machine (host order) into `ret`. Returns the descriptor that
 * holds it, to be closed when the server has ended, or negative errno. */
int ports_hold(uint32_t host, struct sockaddr_in *ret);
