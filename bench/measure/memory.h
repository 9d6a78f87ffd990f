/* memory: what the machine has, and what is left of it (/proc/meminfo).
 *
 * Threads  any. */
#pragma once

#include <stdint.h>

/* What programs may still take without anything being swapped or killed; 0: unknown. */
uint64_t memory_available_bytes(void);

/* Pages that all TCP sockets of the machine hold, what net.ipv4.tcp_mem bounds: `mem` of
 * /proc/net/sockstat; 0: none, or unknown. */
uint64_t memory_tcp_pages(void);

/* TCP sockets that no program has any more, and that the kernel still tries to end: `orphan` of
 * /proc/net/sockstat; 0: none, or unknown. */
uint64_t memory_tcp_orphans(void);

/* All that the machine has; 0: unknown. */
uint64_t memory_total_bytes(void);
