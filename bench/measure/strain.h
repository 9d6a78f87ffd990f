/* strain: what kept the two sides from their CPUs while a turn ran.
 *
 *   waited   a thread could have run, and another program had its CPU   schedstat of its threads
 *   steal    the host gave the CPU to another machine                   /proc/stat
 *   softirq  the kernel's own work for the network                      /proc/stat
 *
 * Idea     A side that uses 60 % of its CPU and waits for it during the other 40 % is at its limit
 *          as much as one that uses all of it; only the limit is not its own.
 * Threads  the client's: strain_begin and strain_end on the thread that runs the clients.
 * Memory   in place.
 * Errors   what the kernel does not tell is unknown: negative. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "measure/process.h"

/* Time of some CPUs, in the ticks of /proc/stat. */
struct strain_cpus {
    uint64_t all, softirq, steal;
};

struct strain_mark {
    const struct process *server;
    const char *server_list, *client_list; /* as in taskset */
    int64_t server_wait_ns, client_wait_ns;
    struct strain_cpus server_cpus, client_cpus;
};

/* Shares are of the CPUs that the side was given. */
struct strain_side {
    int64_t waited_ns; /* of all threads; -1: unknown */
    double softirq, steal;
};

struct strain {
    bool known; /* strain_end has filled it in */
    struct strain_side server, client;
};

/* The lists stay the caller's. */
void strain_begin(struct strain_mark *mark, const struct process *server, const char *server_cpus,
                  const char *client_cpus);
void strain_end(const struct strain_mark *mark, struct strain *ret);
