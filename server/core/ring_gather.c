#include <time.h>

#include "core/ring.h"

int ring_pause(struct ring *ring, int64_t gather_ns, int64_t timeout_ns)
{
    const struct timespec rest = {gather_ns / 1000000000, gather_ns % 1000000000};
    nanosleep(&rest, NULL);
    return ring->engine->wait(ring, timeout_ns);
}

int ring_gather(struct ring *ring, int64_t gather_ns, int64_t timeout_ns)
{
    return (ring->engine->gather ? ring->engine->gather : ring_pause)(ring, gather_ns, timeout_ns);
}
