/* softnet: packets that wait for a CPU of this machine to receive them (/proc/net/softnet_stat).
 *
 * Idea     Behind a device that has its receiving CPUs set (RPS) is a queue for each of them, which
 *          is short by default (net.core.netdev_max_backlog: 1,000) and drops without a word.
 *          Whoever writes to such a device must look, since nothing pushes back.
 * Threads  the owner's.
 * Bounds   The counters are of all the machine: other programs' packets are in them too.
 * Errors   negative errno; -EPROTO: a kernel that does not say (before Linux 5.10). */
#pragma once

#include <sched.h>
#include <stdint.h>

struct softnet {
    uint64_t dropped; /* since boot: modulo 2^32 for each CPU */
    uint32_t waiting; /* at the CPU where most do */
};

/* Returns a descriptor for softnet_read, which close(2) ends. */
int softnet_open(void);
int softnet_read(int fd, const cpu_set_t *cpus, struct softnet *ret);

/* Of the file's text. */
int softnet_parse(struct softnet *ret, const char *text, const cpu_set_t *cpus);
