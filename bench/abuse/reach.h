/* reach: whom an attack may reach: this machine, or a laboratory in a network namespace.
 *
 * Idea     The experiment is a test, and no weapon: with an address that anybody else may have it
 *          does not begin.
 * Threads  any. */
#pragma once

#include <netinet/in.h>

/* Returns 0 when the address is one of loopback, or when this process is in a network namespace of
 * its own from which no gateway leads away; else -EPERM, after a sentence that says `whose` address
 * it is. */
int reach_check(const char *whose, const struct sockaddr_in *address);
