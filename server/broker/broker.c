#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/broker_config.h"
#include "broker/engine.h"
#include "conf/settings.h"
#include "hub/helper.h"

struct broker {
    const struct engine_ops *ops;
    void *engine;
    struct hub_set *set;
    struct broker_waker waker;
    struct helper *helper;
    pthread_t thread;
    bool started;
    char where[BROKER_WHERE_MAX];
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void ask(void *context, struct remote_ask *ask)
{
    struct broker *broker = context;
    broker->ops->ask(broker->engine, ask);
}

const struct broker_ops broker_ops = {.ask = ask};

void broker_question(struct broker *broker, struct nodes_ask *ask)
{
    broker->ops->question(broker->engine, ask);
}

/* ---- life ---- */

int broker_create(struct broker **ret, const struct settings *settings, uint64_t seed, char *why,
                  size_t why_size)
{
    *ret = NULL;
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker) {
        snprintf(why, why_size, "memory is out");
        return -ENOMEM;
    }
    struct broker_choice choice;
    int err = broker_choose(&choice, settings, seed, why, why_size);
    if (err < 0 || !choice.engine) {
        free(broker);
        return err;
    }
    broker->ops = choice.ops;
    broker->engine = choice.engine;
    memcpy(broker->where, choice.where, sizeof broker->where);
    err = broker->ops->connect(broker->engine, why, why_size);
    if (err < 0 && choice.required) {
        broker_free(broker);
        return err;
    }
    *ret = broker;
    return 0;
}

int broker_check(const struct settings *settings, char *why, size_t why_size)
{
    struct broker_choice choice;
    int err = broker_choose(&choice, settings, 1, why, why_size);
    if (err == 0 && choice.engine)
        choice.ops->free(choice.engine);
    return err;
}

static void wake(void *context, unsigned shard)
{
    const struct broker *broker = context;
    broker->waker.wake(broker->waker.context, shard);
}

/* Until something comes, or its time. */
static void rest(struct broker *broker)
{
    struct pollfd fds[1 + ENGINE_FDS] = {{.fd = helper_bell(broker->helper)->fd, .events = POLLIN}};
    int timeout_ms;
    unsigned count = 1 + broker->ops->wait(broker->engine, fds + 1, clock_ns(), &timeout_ms);
    if (helper_sleep(broker->helper)) {
        poll(fds, count, timeout_ms);
        if (fds[0].revents)
            bell_wait(helper_bell(broker->helper), 0);
    }
    helper_awake(broker->helper);
}

static void *run(void *context)
{
    struct broker *broker = context;
    broker->ops->attach(broker->engine, broker->helper, broker->set, broker->waker.node,
                        broker->waker.ear);
    bool more = false;
    while (more || !helper_stopping(broker->helper)) {
        broker->ops->turn(broker->engine, clock_ns());
        more = helper_turn(broker->helper);
        broker->ops->turn(broker->engine, clock_ns());
        if (!more)
            rest(broker);
    }
    broker->ops->stop(broker->engine);
    helper_turn(broker->helper);
    return NULL;
}

int broker_start(struct broker *broker, struct hub_set *set, const struct broker_waker *waker)
{
    static const struct helper_ops ops = {.wake = wake};
    broker->set = set;
    broker->waker = *waker;
    broker->helper = helper_create(set, 0, &ops, broker);
    if (!broker->helper)
        return -ENOMEM;
    int err = pthread_create(&broker->thread, NULL, run, broker);
    broker->started = err == 0;
    return -err;
}

void broker_end(struct broker *broker)
{
    if (!broker || !broker->started)
        return;
    helper_stop(broker->set, 0);
    pthread_join(broker->thread, NULL);
    broker->started = false;
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    assert(!broker->started);
    helper_free(broker->helper);
    broker->ops->free(broker->engine);
    free(broker);
}

unsigned broker_stats_read(const struct broker *broker, struct broker_row ret[BROKER_ROWS_MAX])
{
    const struct engine_counters *counters = broker->ops->counters(broker->engine);
    unsigned count = 0;
#define ROW(row_name, row_kind, row_help)                                                          \
    ret[count++] =                                                                                 \
        (struct broker_row){#row_name, row_kind, row_help,                                         \
                            atomic_load_explicit(&counters->row_name, memory_order_relaxed)};
    ENGINE_COUNTERS(ROW)
#undef ROW
    assert(count <= BROKER_ROWS_MAX);
    return count;
}

const char *broker_where(const struct broker *broker)
{
    return broker->where;
}
