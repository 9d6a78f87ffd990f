/* machine: how much memory and processor time this process may have, which in a container is less
 * than the machine has.
 *
 * A control group bounds what is in it and below it, so the smallest of the group's and its
 * parents' counts. Version 2 has `memory.max` and `cpu.max` in one tree, version 1 a tree for each.
 * A container often sees its own group as the root of the tree, under a path that is the host's:
 * folders that are not there are passed over.
 *
 * Source   Linux: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst,
 *          scheduler/sched-bwc.rst; cgroups(7) for /proc/self/cgroup.
 * Threads  main's. */
#pragma once

#include <stdint.h>

/* Bytes of memory: the machine's, or what the control group leaves of it. 0 when neither is known.
 * The files are looked for below `root`, which is "" but in tests. */
uint64_t machine_memory(const char *root);

/* Of the machine's memory, the bytes that the control group leaves, or UINT64_MAX. */
uint64_t machine_group_memory(const char *root);

/* How many cores the control group's quota amounts to, rounded up, or UINT32_MAX without one. */
uint32_t machine_group_cpus(const char *root);

/* Prints what the control group leaves, if that is less than the machine has. */
void machine_announce(void);
