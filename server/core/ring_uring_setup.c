/* ring_uring_setup: making and freeing the engine, and its tables, which are opened one by one as
 * sockets come. */
#include "core/ring_packets.h"
#include "core/ring_peers.h"
#include "core/ring_uring.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void ring_uring_free(struct ring *base)
{
    struct ring_uring *ring = (struct ring_uring *)base;
    for (uint32_t i = 0; i < ring->table_count; i++) {
        io_uring_queue_exit(&ring->tables[i].uring);
        free(ring->tables[i].fds);
        free(ring->tables[i].addresses);
    }
    if (ring->bell >= 0)
        close(ring->bell);
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        free(ring->listeners[i].peers);
    ring_peers_done(&ring->base);
    ring_packet_sockets_done(&ring->base);
    ring_queue_done(&ring->queue);
    free(ring->tables);
    free(ring);
}

/* The places for its sockets. */
static int slots_init(struct ring_uring *ring, struct ring_table *table, uint32_t slots)
{
    if (!ring->direct)
        return ring_fds_init(table, slots);
    int err = io_uring_register_files_sparse(&table->uring, slots);
    if (err == 0)
        err = io_uring_register_file_alloc_range(&table->uring, 0, slots);
    return err;
}

static int table_init(struct ring_uring *ring, struct ring_table *table)
{
    struct io_uring_params params = {.flags = RING_SETUP_FLAGS, .cq_entries = RING_CQ_ENTRIES};
    int err = io_uring_queue_init_params(RING_SQ_ENTRIES, &table->uring, &params);
    if (err < 0)
        return err;
#ifdef RING_HAS_MIN_WAIT
    ring->min_wait = params.features & RING_COMPAT_FEAT_MIN_TIMEOUT;
#endif
    if (ring->client) {
        table->addresses = calloc(RING_SQ_ENTRIES, sizeof *table->addresses);
        err = table->addresses ? 0 : -ENOMEM;
    }
    if (err == 0)
        err = slots_init(ring, table, ring->table_mask + 1);
    if (err == 0 && table != ring->tables)
        err = io_uring_register_eventfd(&table->uring, ring->bell);
    if (err < 0) {
        io_uring_queue_exit(&table->uring);
        free(table->fds);
        table->fds = NULL;
        free(table->addresses);
        table->addresses = NULL;
        return err;
    }
    io_uring_register_ring_fd(&table->uring);
    return 0;
}

int ring_table_open(struct ring_uring *ring)
{
    assert(ring->table_count < ring->tables_max);
    int err = table_init(ring, &ring->tables[ring->table_count]);
    if (err < 0)
        return err;
    ring->base.stats.tables = ++ring->table_count;
    return 0;
}

/* A shutdown of a direct descriptor is the only thing that is left to kernel workers: one is enough
 * for all rings of this thread, where there could be as many as RLIMIT_NPROC allows, and its place
 * is on the thread's own CPUs. */
static int workers_bound(struct ring_uring *ring)
{
    struct io_uring *uring = &ring->tables[0].uring;
    unsigned most[2] = {1, 1};
    int err = io_uring_register_iowq_max_workers(uring, most);
    cpu_set_t cpus;
    if (err == 0 && sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        err = io_uring_register_iowq_aff(uring, sizeof cpus, &cpus);
    return err;
}

/* Tables are opened when they are needed: a small server has one. What is reserved here is only
 * their number. */
static int engine_init(struct ring_uring *ring, const struct ring_config *config)
{
    uint32_t slots = ring_table_slots();
    uint32_t usable = config->client ? slots : slots - slots / 8;

    ring->tables_max = (config->capacity + usable - 1) / usable;
    ring->base.capacity = ring->tables_max * slots;
    ring->table_shift = (uint32_t)__builtin_ctz(slots);
    ring->table_mask = slots - 1;
    ring->tables = calloc(ring->tables_max, sizeof *ring->tables);
    ring->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ring->bell < 0)
        return -errno;
    int err = ring->tables ? ring_queue_init(&ring->queue) : -ENOMEM;
    if (err == 0 && config->peers)
        err = ring_accept_init(ring);
    if (err == 0)
        err = ring_table_open(ring);
    if (err == 0 && ring->direct)
        err = workers_bound(ring);
    if (err == 0)
        ring_bell_arm(ring);
    return err;
}

static int create(struct ring **ret, const struct ring_config *config,
                  const struct ring_features *features, char *why, size_t why_size)
{
    assert(config->capacity > 0);
    struct ring_uring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->base.engine = features->direct ? &ring_uring_engine : &ring_uring_fd_engine;
    ring->client = config->client;
    ring->direct = features->direct;
    ring->bind_direct = features->bind_direct;
    ring->bell = -1;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        ring->listeners[i].fd = -1;
    int err = engine_init(ring, config);
    if (err < 0) {
        ring_explain(err, why, why_size);
        ring_uring_free(&ring->base);
        return err;
    }
    *ret = &ring->base;
    return 0;
}

int ring_uring_create(struct ring **ret, const struct ring_config *config, char *why,
                      size_t why_size)
{
    struct ring_features features;
    int err = ring_probe(&features, why, why_size);
    return err < 0 ? err : create(ret, config, &features, why, why_size);
}

int ring_uring_fd_create(struct ring **ret, const struct ring_config *config, char *why,
                         size_t why_size)
{
    struct ring_features features;
    int err = ring_probe(&features, why, why_size);
    features.direct = false;
    return err < 0 ? err : create(ret, config, &features, why, why_size);
}
