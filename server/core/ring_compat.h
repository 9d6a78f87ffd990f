/* ring_compat: constants of io_uring newer than the packaged headers (liburing 2.3, Linux 6.1).
 * Only ring_uring*.c include this. Every use is behind a probe of the running kernel. */
#pragma once

#include <liburing.h>

/* Linux 6.12: a wait may have a shortest time, in which events gather. liburing has a function for
 * it since 2.8; RING_HAS_MIN_WAIT says that this one does. */
#define RING_COMPAT_FEAT_MIN_TIMEOUT (1U << 15)

/* Linux 6.11: bind(2) on a direct descriptor. The header's own list ends before it. */
#define RING_COMPAT_OP_BIND 56
