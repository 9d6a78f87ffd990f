/* ring_compat: constants of io_uring newer than the packaged headers (liburing 2.3, Linux 6.1).
 * Only ring_uring*.c include this. Every use is behind a probe of the running kernel. */
#pragma once

#include <liburing.h>

/* Linux 6.11: bind(2) on a direct descriptor. The header's own list ends before it. */
#define RING_COMPAT_OP_BIND 56
