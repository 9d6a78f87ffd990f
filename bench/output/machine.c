#include "output/machine.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "config.h"
#include "core/ring.h"

enum {
    WHY_MAX = 512,
};

static json_t *read_io_uring(void)
{
    struct ring_features features;
    char why[WHY_MAX];
    json_t *list = json_array();
    if (ring_probe(&features, why, sizeof why) == 0) {
        json_array_append_new(list, json_string("IORING_SETUP_DEFER_TASKRUN"));
        json_array_append_new(list, json_string("IORING_OP_SOCKET"));
        if (features.direct)
            json_array_append_new(list, json_string("direct descriptors that end at once"));
        if (features.bind_direct)
            json_array_append_new(list, json_string("IORING_OP_BIND"));
    }
    return json_pack("{s:s, s:o}", "liburing", BENCH_LIBURING, "features", list);
}

json_t *machine_read(const char *server_cpus, const char *client_cpus)
{
    struct rlimit limit;
    double load = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    json_t *io_uring = read_io_uring(); /* raises the soft limit, as the servers do */
    if (getloadavg(&load, 1) != 1)
        load = 0;
    return json_pack("{s:I, s:I, s:s, s:s, s:o, s:f}", "nofile_soft", (json_int_t)limit.rlim_max,
                     "nofile_hard", (json_int_t)limit.rlim_max, "server_cpus", server_cpus,
                     "client_cpus", client_cpus, "io_uring", io_uring, "load_average", load);
}
