#include "experiment/witness.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/way.h"
#include "measure/clock.h"

/* Apart from the addresses that other loads take: those end at 127.199.255.255. A load begins at
 * one of these at random; they are many, so that the witnesses of two benches do not meet. */
#define WITNESS_ADDRESS UINT32_C(0x7fc80001) /* 127.200.0.1 */

static const int64_t SLICE_NS = (int64_t)50 * NS_PER_MS; /* between two looks at the histogram */
static const int64_t OPEN_TIMEOUT_NS = (int64_t)120 * NS_PER_S;
static const int64_t SETTLE_TIMEOUT_NS = (int64_t)60 * NS_PER_S;
static const int64_t CATCH_UP_NS = (int64_t)20 * NS_PER_S;

enum {
    WITNESS_ADDRESSES = 50 * 65536 - 1, /* up to 127.249.255.255 */
    WHY_MAX = 256,
    /* A quarter of what a server keeps for a reader by default: a witness that gets no CPU for some
     * seconds is told late, and not ended for it. */
    UNDER_WAY_BYTES = 256 * 1024,
    FRAME_BYTES = 64, /* what a message weighs besides its payload, at most */
};

struct witness {
    struct witness_config config;
    pthread_t thread;
    pthread_barrier_t open; /* all are connected, or it has failed */
    atomic_bool stopping;
    char why[WHY_MAX];
    struct witness_report report;

    pthread_mutex_t lock; /* of the two below */
    struct histogram *into;
    struct histogram *lately;
};

static bool go_on(void *context, struct load *load)
{
    (void)load;
    return !atomic_load_explicit(&((struct witness *)context)->stopping, memory_order_relaxed);
}

static int create(struct witness *witness, struct load **ret)
{
    const struct witness_config *config = &witness->config;
    const struct load_group_config group = {
        .transport = config->transport,
        .target = config->target,
        .channel = config->channel,
        .clients = config->clients,
        .publish = &protocol_websocket,
        .payload_bytes = config->message_bytes,
        .tls = config->tls,
        .tls_name = config->tls ? BENCH_TLS_NAME : NULL,
    };
    const struct load_config load = {
        .groups = &group,
        .group_count = 1,
        .first_address.s_addr = htonl(WITNESS_ADDRESS),
        .address_count = WITNESS_ADDRESSES,
        .progress = go_on,
        .context = witness,
    };
    return load_create(ret, &load, witness->why, sizeof witness->why);
}

/* Where few are let in, the witness waits as it is told. */
static int open_all(struct witness *witness, struct load *load)
{
    const struct load_ramp_config config = {
        .timeout_ns = OPEN_TIMEOUT_NS,
        .backoff = {.first_ms = 100, .most_ms = 1000, .hints = true},
    };
    const uint32_t under_way = UNDER_WAY_BYTES / (witness->config.message_bytes + FRAME_BYTES);
    const struct load_mode mode = {
        .rate_per_s = witness->config.rate_per_s,
        .under_way = under_way > 0 ? under_way : 1,
    };
    struct load_ramp_result ramp;
    int err = load_ramp(load, 0, &config, &ramp);
    if (err == 0 && ramp.failed > 0)
        err = -ECONNREFUSED;
    if (err == 0)
        err = load_settle(load, 0, SETTLE_TIMEOUT_NS);
    if (err == 0)
        err = load_publish(load, 0, &mode);
    if (err < 0)
        snprintf(witness->why, sizeof witness->why, "%u of %u witnesses are connected: %s",
                 load_up(load, 0), witness->config.clients, strerror(-err));
    return err;
}

static void take(struct witness *witness, struct load *load)
{
    struct histogram *seen = load_latency(load, 0);
    pthread_mutex_lock(&witness->lock);
    if (witness->into)
        histogram_merge(witness->into, seen);
    histogram_merge(witness->lately, seen);
    pthread_mutex_unlock(&witness->lock);
    histogram_reset(seen);
    histogram_reset(load_latency_uncorrected(load, 0));
}

static void observe(struct witness *witness, struct load *load)
{
    static const struct load_mode nothing = {0};
    int err = 0;
    while (err == 0 && go_on(witness, load)) {
        err = load_idle(load, SLICE_NS, LOAD_ALL);
        take(witness, load);
    }
    load_publish(load, 0, &nothing);
    int64_t deadline_ns = clock_now_ns() + CATCH_UP_NS;
    do
        err = load_catch_up(load, 0, CATCH_UP_NS); /* -EINTR each second, since it is stopping */
    while (err == -EINTR && clock_now_ns() < deadline_ns);
    witness->report.err = err;
}

static void report(struct witness *witness, const struct load *load)
{
    const struct load_counters *counters = load_counters(load, 0);
    load_ledger_read(load, 0, &witness->report.ledger);
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++)
        witness->report.closes += counters->closes[reason];
    witness->report.published = counters->published;
}

static void *run(void *context)
{
    struct witness *witness = context;
    struct load *load = NULL;
    int err = create(witness, &load);
    if (err == 0)
        err = open_all(witness, load);
    witness->report.err = err;
    pthread_barrier_wait(&witness->open);
    if (err == 0) {
        observe(witness, load);
        report(witness, load);
    }
    load_free(load);
    return NULL;
}

static void destroy(struct witness *witness)
{
    pthread_barrier_destroy(&witness->open);
    pthread_mutex_destroy(&witness->lock);
    histogram_free(witness->lately);
    free(witness);
}

int witness_start(struct witness **ret, const struct witness_config *config, char *why,
                  size_t why_size)
{
    struct witness *witness = calloc(1, sizeof *witness);
    assert(witness);
    witness->config = *config;
    witness->lately = histogram_create();
    assert(witness->lately);
    pthread_barrier_init(&witness->open, NULL, 2);
    pthread_mutex_init(&witness->lock, NULL);
    int err = pthread_create(&witness->thread, NULL, run, witness);
    assert(err == 0);
    pthread_barrier_wait(&witness->open);
    err = witness->report.err;
    if (err == 0) {
        *ret = witness;
        return 0;
    }
    snprintf(why, why_size, "%s", witness->why);
    pthread_join(witness->thread, NULL);
    destroy(witness);
    return err;
}

void witness_into(struct witness *witness, struct histogram *into)
{
    pthread_mutex_lock(&witness->lock);
    witness->into = into;
    pthread_mutex_unlock(&witness->lock);
}

bool witness_lately(struct witness *witness, uint64_t *ret_p50_ns, uint64_t *ret_p99_ns)
{
    pthread_mutex_lock(&witness->lock);
    bool any = histogram_count(witness->lately) > 0;
    if (any) {
        *ret_p50_ns = histogram_percentile(witness->lately, 50);
        *ret_p99_ns = histogram_percentile(witness->lately, 99);
        histogram_reset(witness->lately);
    }
    pthread_mutex_unlock(&witness->lock);
    return any;
}

void witness_stop(struct witness *witness, struct witness_report *ret)
{
    atomic_store_explicit(&witness->stopping, true, memory_order_relaxed);
    pthread_join(witness->thread, NULL);
    *ret = witness->report;
    destroy(witness);
}
