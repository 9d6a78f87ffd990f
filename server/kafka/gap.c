/* gap: what comes next in a partition is not there any more.
 *
 *   fetch ──► error of its queue ──► all before it is done ──► where does the log begin? ─┐
 *   reads on at what is oldest ◄── all shards have answered ◄── channels begin anew ◄─────┘
 *
 * Kafka throws records away by age and size, read or not. Nobody knows how many of those that are
 * gone were for which channel; so all channels that the partition could have fed begin a new epoch
 * (hub/gap.h). librdkafka is told to say so in place of going on by itself. That a group begins
 * comes by the same error, without an offset: then nothing is missed. Where it goes on is committed
 * either way: else a node that comes before the first record does would begin where the log ends
 * then, or go on behind the cut as soon as the log is as long as it was. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/gap.h"
#include "kafka/kafka_internal.h"

enum {
    LOOK_MS = 1000, /* for a broker's answer; the thread waits for it */
    LOOKS = 8,      /* in a turn, until one fails */
};

/* Of one shard. The scope is in it, so that it needs nobody else. */
struct question {
    struct gap gap;
    struct remote_scope scope;
    char glob[KAFKA_GLOB_BYTES];
};

/* ---- the shards ---- */

static bool may_be_of(const struct remote_scope *scope, const char *name, size_t len)
{
    const struct question *question =
        (const void *)((const char *)scope - offsetof(struct question, scope));
    return mapping_glob_has(question->glob, span_of(name, len));
}

static void answered(void *context, struct call *call)
{
    kafka_told(context, &call->ticket, call->err);
    free(call);
}

static void dropped(struct call *call)
{
    free(call);
}

static bool ask_shard(struct kafka *kafka, const struct kafka_partition *partition, unsigned shard)
{
    static const struct call_ops ops = {gap_run, answered, dropped};
    struct question *question = malloc(sizeof *question);
    if (!question)
        return false;
    *question = (struct question){
        .gap.call.ops = &ops,
        .gap.call.ticket = {.generation = kafka->lines[partition->line].run,
                            .tag = partition->line},
        .gap.set = kafka->set,
        .gap.shard = shard,
        .gap.scope = &question->scope,
        .scope.has = may_be_of,
    };
    mapping_glob(question->glob, partition->template, partition->topic, partition->partition);
    if (helper_call(kafka->helper, shard, &question->gap.call) == 0)
        return true;
    free(question);
    return false;
}

static bool ask_engine(struct kafka *kafka, const struct kafka_partition *partition)
{
    char glob[KAFKA_GLOB_BYTES];
    const struct ticket ticket = {.generation = kafka->lines[partition->line].run,
                                  .tag = partition->line};
    mapping_glob(glob, partition->template, partition->topic, partition->partition);
    return kafka->waker.gap(kafka->helper, kafka->set, &ticket, glob) == 0;
}

/* Those that have not been told: who has the channels' epochs. A shard that has no room for it is
 * told later. */
static void tell(struct kafka *kafka, struct kafka_partition *partition)
{
    struct kafka_gap *gap = &partition->gap;
    const bool engine = kafka->waker.gap != NULL;
    const unsigned all = engine ? 1 : (unsigned)kafka->settings->shards;
    while (gap->told < all &&
           (engine ? ask_engine(kafka, partition) : ask_shard(kafka, partition, gap->told))) {
        gap->told++;
        gap->answers++;
    }
    if (gap->told < all)
        gap->retry_ns = kafka->now_ns + KAFKA_RETRY_MIN_NS;
    else if (gap->answers == 0)
        gap->state = KAFKA_GAP_KNOWN;
}

/* It is asked again until it can: nothing behind the gap is published before. */
static void failed(struct kafka *kafka, struct kafka_partition *partition)
{
    struct kafka_gap *gap = &partition->gap;
    if (!gap->failed)
        fprintf(stderr,
                "ringside-server: kafka: %s[%" PRId32
                "]: waits for the engine, whose channels cannot begin anew now; Redis has to be "
                "there, and to allow SCAN\n",
                partition->topic, partition->partition);
    gap->failed = true;
    gap->told = 0;
    gap->retry_ns = kafka->now_ns + KAFKA_SECOND_NS;
}

void kafka_told(struct kafka *kafka, const struct ticket *ticket, int err)
{
    struct kafka_partition *partition = kafka_partition_of(kafka, ticket);
    kafka->is_answered = true;
    if (!partition || partition->gap.state != KAFKA_GAP_TOLD)
        return;
    partition->gap.answers--;
    if (err == -ENOTSUP)
        fprintf(stderr,
                "ringside-server: kafka: %s[%" PRId32
                "]: subscribers are not told of what is gone: "
                "around NATS and a Redis Cluster channels cannot begin anew\n",
                partition->topic, partition->partition);
    else if (err < 0)
        failed(kafka, partition);
}

/* ---- what is missed ---- */

static void count_missed(struct kafka *kafka, const char *topic, uint64_t missed)
{
    struct kafka_missed *row = kafka->missed;
    for (unsigned i = 0; i < KAFKA_SLOTS; i++, row++) {
        bool known = atomic_load_explicit(&row->known, memory_order_relaxed);
        bool last = i == KAFKA_SLOTS - 1;
        if (!known) {
            snprintf(row->topic, sizeof row->topic, "%s", last ? "" : topic);
            atomic_store_explicit(&row->known, true, memory_order_release);
        }
        if (last || strcmp(row->topic, topic) == 0)
            break;
    }
    kafka_count(&row->records, missed);
}

static void say(const struct kafka_partition *partition, int64_t low, int64_t high)
{
    int64_t at = partition->gap.offset;
    if (at < low)
        fprintf(stderr,
                "ringside-server: kafka: %s[%" PRId32 "]: %" PRId64 " records from %" PRId64
                " on are gone: Kafka threw them away before they were read; goes on at %" PRId64
                "\n",
                partition->topic, partition->partition, low - at, at, low);
    else
        fprintf(stderr,
                "ringside-server: kafka: %s[%" PRId32 "]: %" PRId64 " is to come next, and the log "
                "ends at %" PRId64 ": it was cut, or is another; goes on at %" PRId64
                ", by kafka_start\n",
                partition->topic, partition->partition, at, high, partition->gap.to);
}

/* Where it is to go on. Returns false when that cannot be said now. */
static bool look(struct kafka *kafka, struct kafka_partition *partition)
{
    struct kafka_gap *gap = &partition->gap;
    int64_t low, high;
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(
        kafka->consumer, partition->topic, partition->partition, &low, &high, LOOK_MS);
    if (err) {
        kafka_complain(kafka, err, rd_kafka_err2str(err));
        return false;
    }
    bool begins = gap->offset < 0, is_short = !begins && gap->offset < low;
    gap->state = KAFKA_GAP_KNOWN;
    gap->to = gap->offset;
    if (!begins && !is_short && gap->offset <= high)
        return true; /* it is there: the broker that said so was not its leader any more */
    bool from_low = is_short || kafka->settings->kafka_start == KAFKA_START_EARLIEST;
    gap->to = from_low ? low : high;
    if (begins)
        return true;
    say(partition, low, high);
    kafka_count(&kafka->counters.gaps, 1);
    if (is_short)
        count_missed(kafka, partition->topic, (uint64_t)(low - gap->offset));
    gap->state = KAFKA_GAP_TOLD;
    gap->told = gap->answers = 0;
    return true;
}

/* ---- steps ---- */

void kafka_gap(struct kafka_partition *partition, int64_t offset)
{
    partition->gap = (struct kafka_gap){.state = KAFKA_GAP_SEEN, .offset = offset};
}

static bool is_due(const struct kafka *kafka, const struct kafka_partition *partition)
{
    return window_count(&partition->window) == 0 && kafka->now_ns >= partition->gap.retry_ns;
}

bool kafka_gap_is_due(const struct kafka *kafka, const struct kafka_partition *partition)
{
    const struct kafka_gap *gap = &partition->gap;
    bool waits = gap->state == KAFKA_GAP_TOLD && gap->answers > 0;
    return gap->state != KAFKA_GAP_NONE && !waits && is_due(kafka, partition);
}

/* Returns how many were looked for: that took time, in which librdkafka may have said more. */
static unsigned look_all(struct kafka *kafka)
{
    unsigned looks = 0;
    for (unsigned i = 0; i < kafka->count && looks < LOOKS; i++) {
        struct kafka_partition *partition = kafka->partitions[i];
        if (partition->gap.state != KAFKA_GAP_SEEN || !is_due(kafka, partition))
            continue;
        looks++;
        if (look(kafka, partition))
            continue;
        partition->gap.retry_ns = kafka->now_ns + KAFKA_SECOND_NS;
        break;
    }
    return looks;
}

/* Returns true when it is to be read on. */
static bool step(struct kafka *kafka, struct kafka_partition *partition)
{
    if (partition->gap.state == KAFKA_GAP_TOLD && is_due(kafka, partition))
        tell(kafka, partition);
    return partition->gap.state == KAFKA_GAP_KNOWN && is_due(kafka, partition);
}

/* librdkafka stops fetching where it has said that; it begins again where it is assigned. What is
 * stored is committed only if it is more than what was; this may be less, and behind the last
 * commit of what is unassigned. */
static void read_on(struct kafka *kafka, rd_kafka_topic_partition_list_t *list)
{
    kafka_error(kafka, rd_kafka_incremental_unassign(kafka->consumer, list));
    kafka_error(kafka, rd_kafka_incremental_assign(kafka->consumer, list));
    rd_kafka_commit(kafka->consumer, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_gaps(struct kafka *kafka)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (kafka->life != KAFKA_READS || kafka->revoked || look_all(kafka) > 0)
        return;
    for (unsigned i = 0; i < kafka->count; i++) {
        struct kafka_partition *partition = kafka->partitions[i];
        if (!step(kafka, partition))
            continue;
        list = list ? list : rd_kafka_topic_partition_list_new((int)kafka->count);
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)->offset =
            partition->gap.to;
        partition->position = partition->gap.to;
        partition->is_dirty = true;
        partition->gap = (struct kafka_gap){0};
        kafka_listen(kafka, partition);
    }
    if (list)
        read_on(kafka, list);
}
