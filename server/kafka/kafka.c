#include "kafka/kafka.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hub/hub.h"
#include "kafka/kafka_internal.h"

#define NS_PER_MS INT64_C(1000000)

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *kafka_library(void)
{
    static char text[64];
    if (text[0] == '\0')
        snprintf(text, sizeof text, "librdkafka %s", rd_kafka_version_str());
    return text;
}

/* ---- making ---- */

/* All but the first look at a broker. */
static int make(struct kafka **ret, const struct settings *settings, char *why, size_t why_size)
{
    *ret = NULL;
    if (settings->kafka_brokers[0] == '\0')
        return 0;
    struct kafka *kafka = calloc(1, sizeof *kafka);
    if (!kafka) {
        snprintf(why, why_size, "kafka: memory is out");
        return -ENOMEM;
    }
    kafka->settings = settings;
    /* NATS promises nothing of keys: a publish with one is refused there. */
    kafka->keys =
        settings->kafka_keys && settings->idempotency_keys_max > 0 && settings->nats[0] == '\0';
    snprintf(kafka->where, sizeof kafka->where, "%.200s, as group %.200s", settings->kafka_brokers,
             settings->kafka_group);
    int err = mapping_read(&kafka->mapping, settings, why, why_size);
    if (err == 0)
        err = kafka_rules_check(settings, &kafka->mapping, why, why_size);
    if (err == 0)
        err = kafka_connect(kafka, why, why_size);
    if (err < 0) {
        kafka_free(kafka);
        return err;
    }
    *ret = kafka;
    return 0;
}

int kafka_check(const struct settings *settings, char *why, size_t why_size)
{
    struct kafka *kafka;
    int err = make(&kafka, settings, why, why_size);
    kafka_free(kafka);
    return err;
}

int kafka_create(struct kafka **ret, const struct settings *settings, char *why, size_t why_size)
{
    int err = make(ret, settings, why, why_size);
    if (err < 0 || !*ret || !settings->kafka_required)
        return err;
    err = kafka_reach(*ret, why, why_size);
    if (err < 0) {
        kafka_free(*ret);
        *ret = NULL;
    }
    return err;
}

/* ---- the thread ---- */

static void wake(void *context, unsigned shard)
{
    const struct kafka *kafka = context;
    kafka->waker.wake(kafka->waker.context, shard);
}

/* How far each partition is behind, as far as what was fetched tells. */
static void measure(struct kafka *kafka)
{
    uint64_t sum = 0, stopped = 0;
    for (unsigned i = 0; i < kafka->count; i++) {
        const struct kafka_partition *partition = kafka->partitions[i];
        int64_t low, high;
        stopped += partition->is_stopped;
        if (partition->position < 0 ||
            rd_kafka_get_watermark_offsets(kafka->consumer, partition->topic, partition->partition,
                                           &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        uint64_t lag =
            high > partition->position ? (uint64_t)(high - partition->position) : UINT64_C(0);
        sum += lag;
        if (partition->slot)
            kafka_set(&partition->slot->lag, lag);
    }
    kafka_set(&kafka->counters.lag, sum);
    kafka_set(&kafka->counters.stopped, stopped);
}

static void tick(struct kafka *kafka)
{
    if (kafka->now_ns < kafka->tick_ns)
        return;
    kafka->tick_ns = kafka->now_ns + KAFKA_SECOND_NS;
    measure(kafka);
}

static bool all_answered(const struct kafka *kafka)
{
    for (unsigned i = 0; i < kafka->count; i++)
        if (kafka->partitions[i]->window.sent > 0)
            return false;
    return true;
}

/* One step on the way out of the group. */
static void leave_step(struct kafka *kafka)
{
    switch (kafka->life) {
    case KAFKA_READS:
        if (!atomic_load(&kafka->leaving))
            return;
        kafka->life = KAFKA_LEAVES;
        kafka->until_ns = kafka->now_ns + kafka->settings->broker_timeout_ms * NS_PER_MS;
        break;
    case KAFKA_LEAVES:
        if (!kafka->is_stale && kafka->now_ns < kafka->until_ns && !all_answered(kafka))
            return;
        kafka_store(kafka);
        kafka->life = KAFKA_CLOSES;
        rd_kafka_error_t *error = rd_kafka_consumer_close_queue(kafka->consumer, kafka->events);
        if (error)
            rd_kafka_error_destroy(error);
        break;
    case KAFKA_CLOSES:
        if (rd_kafka_consumer_closed(kafka->consumer))
            kafka->life = KAFKA_LEFT;
        break;
    case KAFKA_LEFT:
        break;
    }
}

/* Returns true when there is more to do at once. */
static bool turn(struct kafka *kafka)
{
    kafka->now_ns = clock_ns();
    bool more = kafka_events(kafka);
    kafka_reports(kafka);
    kafka->is_answered = false;
    more |= kafka_read(kafka);
    more |= helper_turn(kafka->helper) || kafka->is_answered;
    kafka_gaps(kafka);
    kafka_store(kafka);
    kafka_revoke_step(kafka);
    leave_step(kafka);
    tick(kafka);
    return more;
}

static int64_t deadline_ns(const struct kafka *kafka)
{
    int64_t until_ns = kafka->tick_ns;
    for (unsigned i = 0; i < kafka->count; i++) {
        const struct kafka_partition *partition = kafka->partitions[i];
        if (partition->retry_ns > kafka->now_ns && partition->retry_ns < until_ns)
            until_ns = partition->retry_ns;
        if (kafka_gap_is_due(kafka, partition))
            until_ns = kafka->now_ns;
    }
    if (kafka->revoked && kafka->revoked_ns < until_ns)
        until_ns = kafka->revoked_ns;
    /* It says of what it does last only that it is done. */
    if (kafka->life == KAFKA_LEAVES || kafka->life == KAFKA_CLOSES)
        until_ns = kafka->now_ns + 10 * NS_PER_MS;
    return until_ns;
}

static void *run(void *context)
{
    struct kafka *kafka = context;
    while (!helper_stopping(kafka->helper)) {
        if (turn(kafka))
            continue;
        int64_t left_ns = deadline_ns(kafka) - clock_ns();
        helper_wait(kafka->helper, left_ns > 0 ? left_ns : 0);
    }
    /* The shards have ended: what is under way is not answered any more, and not committed. */
    kafka->is_stale = true;
    atomic_store(&kafka->leaving, true);
    int64_t until_ns = clock_ns() + KAFKA_CLOSE_MS * NS_PER_MS;
    while (kafka->life != KAFKA_LEFT && clock_ns() < until_ns) {
        turn(kafka);
        bell_wait(helper_bell(kafka->helper), NS_PER_MS);
    }
    return NULL;
}

int kafka_start(struct kafka *kafka, struct hub_set *set, unsigned which,
                const struct kafka_waker *waker)
{
    static const struct helper_ops ops = {.wake = wake, .published = kafka_published};
    static const uint64_t one = 1;
    kafka->set = set;
    kafka->which = which;
    kafka->waker = *waker;
    kafka->helper = helper_create(set, which, &ops, kafka);
    if (!kafka->helper)
        return -ENOMEM;
    int bell = helper_bell(kafka->helper)->fd;
    rd_kafka_queue_io_event_enable(kafka->events, bell, &one, sizeof one);
    if (kafka->producer)
        rd_kafka_queue_io_event_enable(kafka->reports, bell, &one, sizeof one);
    kafka->started = true;
    int err = kafka_subscribe(kafka);
    if (err == 0)
        err = -pthread_create(&kafka->thread, NULL, run, kafka);
    kafka->started = err == 0;
    return err;
}

void kafka_leave(struct kafka *kafka)
{
    if (!kafka || !kafka->started)
        return;
    atomic_store(&kafka->leaving, true);
    bell_ring(helper_bell(kafka->helper));
}

void kafka_end(struct kafka *kafka)
{
    if (!kafka || !kafka->started)
        return;
    helper_stop(kafka->set, kafka->which);
    pthread_join(kafka->thread, NULL);
    kafka->started = false;
}

void kafka_free(struct kafka *kafka)
{
    if (!kafka)
        return;
    assert(!kafka->started);
    kafka_partitions_free(kafka);
    if (kafka->events)
        rd_kafka_queue_destroy(kafka->events);
    if (kafka->reports)
        rd_kafka_queue_destroy(kafka->reports);
    if (kafka->producer) {
        rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(kafka->producer);
    }
    if (kafka->consumer)
        rd_kafka_destroy_flags(kafka->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    helper_free(kafka->helper);
    mapping_done(&kafka->mapping);
    free(kafka);
}

/* ---- for people ---- */

const char *kafka_where(const struct kafka *kafka)
{
    return kafka->where;
}

static uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void kafka_stats_each(const struct kafka *kafka,
                      void (*row)(void *context, const struct kafka_row *row), void *context)
{
    const struct kafka_counters *counters = &kafka->counters;
    char labels[KAFKA_LABELS_MAX];
    struct kafka_row one = {.labels = ""};
#define ROW(row_name, row_kind, row_help)                                                          \
    one =                                                                                          \
        (struct kafka_row){#row_name, row_kind, row_help, "", counter_read(&counters->row_name)};  \
    row(context, &one);
    KAFKA_COUNTERS(ROW)
#undef ROW
    for (int i = KAFKA_TAKEN + 1; i < KAFKA_REFUSAL_COUNT; i++) {
        snprintf(labels, sizeof labels, "{reason=\"%s\"}",
                 kafka_refusal_name((enum kafka_refusal)i));
        one = (struct kafka_row){"refused", "counter", "Records refused, by reason", labels,
                                 counter_read(&counters->refused[i])};
        row(context, &one);
    }
    static const char *const troubles[] = {
#define NAME(upper, lower) #lower,
        KAFKA_TROUBLES(NAME)
#undef NAME
    };
    for (int i = 0; i < KAFKA_TROUBLE_COUNT; i++) {
        snprintf(labels, sizeof labels, "{kind=\"%s\"}", troubles[i]);
        one = (struct kafka_row){"troubles", "counter", "What librdkafka complained of", labels,
                                 counter_read(&counters->troubles[i])};
        row(context, &one);
    }
    for (unsigned i = 0; i < KAFKA_SLOTS; i++) {
        const struct kafka_missed *missed = &kafka->missed[i];
        if (!atomic_load_explicit(&missed->known, memory_order_acquire))
            break;
        snprintf(labels, sizeof labels, "{topic=\"%s\"}", missed->topic);
        one = (struct kafka_row){"missed", "counter",
                                 "Records that Kafka threw away before they were read", labels,
                                 counter_read(&missed->records)};
        row(context, &one);
    }
    for (unsigned i = 0; i < KAFKA_SLOTS; i++) {
        const struct kafka_slot *slot = &kafka->slots[i];
        if (!atomic_load_explicit(&slot->known, memory_order_acquire))
            break;
        snprintf(labels, sizeof labels, "{topic=\"%s\",partition=\"%" PRId32 "\"}", slot->topic,
                 slot->partition);
        one = (struct kafka_row){"partition_lag", "gauge",
                                 "Of a partition, as far as it is known; of the first 64", labels,
                                 counter_read(&slot->lag)};
        row(context, &one);
    }
}
