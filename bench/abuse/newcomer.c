#include "abuse/newcomer.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "experiment/caller.h"
#include "measure/clock.h"

enum {
    PATIENCE_S = 3, /* a machine may be busy; a server that is well answers in milliseconds */
    REQUEST_MAX = 768,
    STATUS_UNAVAILABLE = 503,
};

static const int64_t PAUSE_NS = (int64_t)100 * NS_PER_MS;

struct newcomer {
    const struct attack_target *target;
    bool tls;
    struct caller_tls with;
    char request[REQUEST_MAX];
    int request_len;
    pthread_t thread;
    atomic_bool stopping;
    struct newcomer_seen seen;
};

static bool is_served(const struct newcomer *newcomer)
{
    struct caller caller;
    const struct attack_target *target = newcomer->target;
    int err = caller_connect(&caller, newcomer->tls ? &target->tls : &target->plain,
                             newcomer->tls ? &newcomer->with : NULL, PATIENCE_S);
    if (err == 0)
        err = caller_say(&caller, newcomer->request, (size_t)newcomer->request_len);
    if (err == 0)
        err = caller_answered(&caller);
    caller_hang_up(&caller);
    return err > 0 && err != STATUS_UNAVAILABLE;
}

static void *run(void *context)
{
    struct newcomer *newcomer = context;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    while (!atomic_load_explicit(&newcomer->stopping, memory_order_relaxed)) {
        const int64_t start_ns = clock_now_ns();
        const bool served = is_served(newcomer);
        const int64_t took_ns = clock_now_ns() - start_ns;
        newcomer->seen.tries++;
        newcomer->seen.served += served;
        if (served && took_ns > newcomer->seen.slowest_ns)
            newcomer->seen.slowest_ns = took_ns;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

struct newcomer *newcomer_start(const struct attack_target *target, bool tls)
{
    struct newcomer *newcomer = calloc(1, sizeof *newcomer);
    assert(newcomer);
    newcomer->target = target;
    newcomer->tls = tls;
    newcomer->with = (struct caller_tls){target->client, tls ? tls_handshakes_create(1) : NULL};
    newcomer->request_len = snprintf(newcomer->request, REQUEST_MAX,
                                     "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", target->visit);
    assert(newcomer->request_len < REQUEST_MAX && (!tls || newcomer->with.handshakes));
    int err = pthread_create(&newcomer->thread, NULL, run, newcomer);
    assert(err == 0);
    return newcomer;
}

void newcomer_stop(struct newcomer *newcomer, struct newcomer_seen *ret)
{
    atomic_store_explicit(&newcomer->stopping, true, memory_order_relaxed);
    pthread_join(newcomer->thread, NULL);
    tls_handshakes_free(newcomer->with.handshakes);
    *ret = newcomer->seen;
    free(newcomer);
}
