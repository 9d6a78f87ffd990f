/* backlog: how many connections wait for a server of this machine to accept them.
 *
 * Idea     The kernel is asked about the listening socket (NETLINK_SOCK_DIAG, as ss(8) does), so
 *          the server need not know of it. Of several sockets at one address it answers for one.
 * Threads  the owner's.
 * Errors   negative errno; -ENOENT: nobody listens there, or the kernel cannot tell. */
#pragma once

#include <netinet/in.h>

/* Returns a descriptor for backlog_waiting, which close(2) ends. */
int backlog_open(void);

/* Returns how many wait at `listener`. */
int backlog_waiting(int fd, const struct sockaddr_in *listener);
