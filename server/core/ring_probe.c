/* ring_probe: what this kernel and this process may do, and a sentence when it is not enough. */
#include "core/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/ring_compat.h"
#include "core/ring_uring.h"

enum {
    TABLE_SLOTS_MAX =
        32768, /* more would lengthen the kernel's hash chains when a poll is cancelled */
    TABLE_SLOTS_MIN = 256,
};

static const char *create_failure_reason(int err)
{
    switch (err) {
    case -ENOSYS:
        return "this kernel has no io_uring; Linux 6.1 or newer is needed";
    case -EPERM:
        return "io_uring is forbidden here; allow it with `sysctl kernel.io_uring_disabled=0`, or, "
               "in a "
               "container, with a seccomp profile that permits io_uring_setup";
    case -EINVAL:
        return "this kernel's io_uring is too old (no DEFER_TASKRUN); Linux 6.1 or newer is needed";
    case -ENOMEM:
        return "io_uring may not lock memory; raise it with `ulimit -l unlimited` (systemd: "
               "LimitMEMLOCK=infinity)";
    case -EMFILE:
        return "no file descriptor is left for a ring; raise `ulimit -n`";
    default:
        return "io_uring could not be set up";
    }
}

void ring_explain(int err, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s (%s)", create_failure_reason(err), strerror(-err));
}

unsigned ring_table_slots(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return TABLE_SLOTS_MIN;
    unsigned slots = TABLE_SLOTS_MAX;
    while (slots > TABLE_SLOTS_MIN && slots > limit.rlim_cur)
        slots /= 2;
    return slots;
}

uint64_t ring_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return TABLE_SLOTS_MIN;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

int ring_probe(struct ring_features *features, char *why, size_t why_size)
{
    assert(features && why && why_size > 0);
    ring_descriptors_raise();
    *features = (struct ring_features){.table_slots = ring_table_slots()};

    struct io_uring_params params = {.flags = RING_SETUP_FLAGS, .cq_entries = RING_CQ_ENTRIES};
    struct io_uring probe_ring;
    int err = io_uring_queue_init_params(8, &probe_ring, &params);
    if (err < 0) {
        ring_explain(err, why, why_size);
        return err;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&probe_ring);
    if (probe) {
        features->usable = io_uring_opcode_supported(probe, IORING_OP_SOCKET);
        features->bind_direct = io_uring_opcode_supported(probe, RING_COMPAT_OP_BIND);
        io_uring_free_probe(probe);
    }
    io_uring_queue_exit(&probe_ring);
    if (!features->usable) {
        ring_explain(-EINVAL, why, why_size);
        return -EINVAL;
    }
    return 0;
}
