/* successor: the process that takes this one's place, with its listening sockets.
 *
 *   old process            SIGUSR2                                         SIGTERM      ends
 *   ─── accepts ─────────────┬─────────────────── accepts ──────────────────┬── drains ──┘
 *   new process              └─ starts, with the same sockets ── is ready ──┴─ accepts ─────
 *
 * A listening socket that two processes have is closed when both have closed it, so what waits in
 * its backlog is never reset: docs/decisions/hand-over.md. Sockets come in by the same way from
 * systemd, when it listens for a service (sd_listen_fds(3)).
 *
 * Threads  main's.
 * Memory   The descriptors are the ports'. Environment variables that were read are unset.
 * Errors   A successor that cannot start is said on stderr, and this process goes on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ports.h"

/* Remembers which program runs, before anything replaces the file, and with which arguments. */
void successor_prepare(char **argv);

/* Puts sockets that were handed over at the start into `ports`, which opens none of these then.
 * As many as there are shards, or from systemd one for all of them. Returns 0, or
 * negative errno with `why`: their names, number or addresses are not those of the settings. */
int successor_inherit(struct ports *ports, const struct settings *settings, char *why,
                      size_t why_size);

/* For SIGUSR2: starts a successor, or says why not yet: one is on its way, or the predecessor still
 * has connections of QUIC. */
void successor_start(const struct ports *ports, unsigned shards);

/* For SIGCHLD: says that the successor has ended, when it has. */
void successor_reap(void);

/* For SIGCHLD: whether the predecessor, whose port QUIC joined, has ended. Once. */
bool successor_is_left(void);

/* For the first moment at which this process accepts: tells the one whose successor it is. */
void successor_ready(void);

/* For SIGTERM and SIGINT, by `sender`: whether the successor has sent it, and takes over. One that
 * is not that far ends, too. */
bool successor_takes_over(pid_t sender);
