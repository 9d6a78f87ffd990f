/* notify: tells the service manager how far this server is (sd_notify(3)).
 *
 * The protocol is one datagram to the socket that NOTIFY_SOCKET names, so no library is needed.
 *
 * Threads  main's.
 * Errors   None: without a service manager nothing is said, and one that does not listen is no
 *          reason to fail. */
#pragma once

/* Sends lines such as "READY=1". */
void notify(const char *lines);
