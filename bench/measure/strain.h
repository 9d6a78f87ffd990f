/* strain: what a turn cost the CPUs of each side, and what kept the sides from them.
 *
 *   core      its CPUs were not idle                             /proc/stat
 *   process   the server's own threads, io_uring's workers too   its CPU clock
 *   softirqd  the kernel's threads for network work              schedstat of ksoftirqd/N
 *   waited    a thread could have run, and another had its CPU   schedstat of its threads
 *   steal     the host gave the CPU to another machine           /proc/stat
 *   softirq   the kernel's own work for the network              /proc/stat
 *
 * Idea     A server's work in the kernel is not all on its own clock: what a send sets off may run
 *          in ksoftirqd. So all time in which the CPUs of a pinned server were not idle is charged
 *          to it, and what neither its clock nor ksoftirqd knows of is told beside: others had the
 *          CPU. And a side that uses 60 % of its CPU and waits for it during the other 40 % is at
 *          its limit as much as one that uses all of it; only the limit is not its own.
 * Threads  the client's: strain_begin and strain_end on the thread that runs the clients.
 * Memory   in place.
 * Errors   what the kernel does not tell is unknown: negative. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "measure/process.h"

/* Time of some CPUs, in the ticks of /proc/stat. */
struct strain_cpus {
    uint64_t all, idle, softirq, steal;
};

struct strain_mark {
    const struct process *server;
    const char *server_list, *client_list; /* as in taskset */
    int64_t began_ns;                      /* before anything was read */
    int64_t now_ns;
    int64_t server_cpu_ns, softirqd_ns;
    int64_t server_wait_ns, client_wait_ns;
    struct strain_cpus server_cpus, client_cpus;
};

/* Shares are of the CPUs that the side was given. */
struct strain_side {
    int64_t waited_ns; /* of all threads; -1: unknown */
    double softirq, steal;
};

/* The server's CPU time. */
struct strain_cost {
    int64_t process_ns;
    int64_t softirqd_ns; /* of ksoftirqd on the server's CPUs; -1: unknown */
    int64_t core_ns;     /* not idle; -1: unknown, or not the server's alone to be charged with */
};

struct strain {
    bool known;         /* strain_end has filled it in */
    int64_t elapsed_ns; /* all that is told was within it, so no CPU had more */
    struct strain_cost cost;
    struct strain_side server, client;
};

/* What the server is charged with: its CPUs' time, or its own where that is not known. */
static inline int64_t strain_charged_ns(const struct strain_cost *cost)
{
    return cost->core_ns > cost->process_ns ? cost->core_ns : cost->process_ns;
}

/* The server's threads and ksoftirqd: for stretches in which it does next to nothing, where a
 * stranger's millisecond would be most of its CPUs' time. */
static inline int64_t strain_own_ns(const struct strain_cost *cost)
{
    return cost->process_ns + (cost->softirqd_ns > 0 ? cost->softirqd_ns : 0);
}

/* Of what it is charged with, what neither the server nor ksoftirqd had; -1: unknown. */
static inline int64_t strain_others_ns(const struct strain_cost *cost)
{
    if (cost->core_ns < 0 || cost->softirqd_ns < 0)
        return -1;
    int64_t others_ns = cost->core_ns - strain_own_ns(cost);
    return others_ns > 0 ? others_ns : 0;
}

/* The lists stay the caller's. */
void strain_begin(struct strain_mark *mark, const struct process *server, const char *server_cpus,
                  const char *client_cpus);
void strain_end(const struct strain_mark *mark, struct strain *ret);
