/* ring_probe: what this kernel and this process may do, and a sentence when it is not enough. */
#include "core/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What cannot be: a kernel that says it has everything, and then does not do it. */
static const char misbehaves[] =
    "io_uring does not do here what Linux 6.1 does: a patched kernel, a "
    "sandbox, or a filter of system calls";

/* A kernel does not change while it runs: it is tried once for a process. Threads that come at the
 * same time try it each for itself. */
static int try_out(struct ring_features *features, char *why, size_t why_size)
{
    enum {
        UNTRIED,
        DIRECT,
        ORDINARY
    };
    static _Atomic(int) known = UNTRIED;
    if (known == UNTRIED && ring_trial(true) == 1)
        known = DIRECT;
    if (known == UNTRIED) {
        int err = ring_trial(false);
        if (err != 1) {
            snprintf(why, why_size, "%s (%s)", misbehaves,
                     err < 0 ? strerror(-err) : "a close is not seen");
            return err < 0 ? err : -EOPNOTSUPP;
        }
        known = ORDINARY;
    }
    features->direct = known == DIRECT;
    return 0;
}

/* Operations that the kernel says it has. */
static int ask_operations(struct ring_features *features, struct io_uring *uring)
{
    enum {
        OPERATIONS = 256
    };
    size_t size = sizeof(struct io_uring_probe) + OPERATIONS * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, size);
    if (!probe)
        return -ENOMEM;
    int err = io_uring_register_probe(uring, probe, OPERATIONS);
    features->usable = err == 0 && io_uring_opcode_supported(probe, IORING_OP_SOCKET);
    features->bind_direct = err == 0 && io_uring_opcode_supported(probe, RING_COMPAT_OP_BIND);
    free(probe);
    return err == 0 && !features->usable ? -EINVAL : err;
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
    err = ask_operations(features, &probe_ring);
    io_uring_queue_exit(&probe_ring);
    if (err < 0) {
        ring_explain(err, why, why_size);
        return err;
    }
    return try_out(features, why, why_size);
}

bool ring_is_direct(void)
{
    char why[256];
    struct ring_features features;
    return ring_probe(&features, why, sizeof why) == 0 && features.direct;
}
