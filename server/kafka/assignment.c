/* assignment: partitions that come to this node and go from it.
 *
 * Each has a queue of its own, so that one which cannot be published holds up no other, and what
 * is not taken from it is not fetched. When partitions are to go to another node, what of them is
 * under way is waited for, for broker_timeout_ms: what is answered by then is committed, and comes
 * to nobody twice. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka_internal.h"

#define NS_PER_MS INT64_C(1000000)

/* ---- one ---- */

static struct kafka_slot *slot_of(struct kafka *kafka, const char *topic, int32_t partition)
{
    for (unsigned i = 0; i < KAFKA_SLOTS; i++) {
        struct kafka_slot *slot = &kafka->slots[i];
        if (!atomic_load_explicit(&slot->known, memory_order_relaxed)) {
            memcpy(slot->topic, topic, strlen(topic) + 1);
            slot->partition = partition;
            atomic_store_explicit(&slot->known, true, memory_order_release);
            return slot;
        }
        if (slot->partition == partition && strcmp(slot->topic, topic) == 0)
            return slot;
    }
    return NULL;
}

/* Returns false when all are in use. */
static bool line_take(struct kafka *kafka, struct kafka_partition *partition)
{
    for (uint32_t tried = 0; tried < KAFKA_LINES; tried++) {
        uint32_t at = kafka->line_hint++ % KAFKA_LINES;
        struct kafka_line *line = &kafka->lines[at];
        if (line->partition)
            continue;
        line->partition = partition;
        line->run += line->run == UINT32_MAX ? 2 : 1;
        partition->line = at;
        return true;
    }
    return false;
}

static void partition_free(struct kafka *kafka, struct kafka_partition *partition)
{
    kafka_forget(kafka, partition);
    if (partition->queue)
        rd_kafka_queue_destroy(partition->queue);
    if (partition->slot)
        kafka_set(&partition->slot->lag, 0);
    free(partition);
}

static bool list_grow(struct kafka *kafka)
{
    if (kafka->count < kafka->capacity)
        return true;
    unsigned capacity = kafka->capacity ? 2 * kafka->capacity : 16;
    struct kafka_partition **list =
        realloc(kafka->partitions, capacity * sizeof(struct kafka_partition *));
    if (!list)
        return false;
    kafka->partitions = list;
    kafka->capacity = capacity;
    return true;
}

void kafka_listen(struct kafka *kafka, struct kafka_partition *partition)
{
    static const uint64_t one = 1;
    rd_kafka_queue_forward(partition->queue, NULL);
    rd_kafka_queue_io_event_enable(partition->queue, helper_bell(kafka->helper)->fd, &one,
                                   sizeof one);
}

/* Its queue is its own from before it is fetched for, so that nothing comes by another. Returns
 * false when there is no line or no memory for it. */
static bool partition_add(struct kafka *kafka, const rd_kafka_topic_partition_t *at)
{
    struct kafka_partition *partition = calloc(1, sizeof *partition);
    if (!partition || strlen(at->topic) > KAFKA_TOPIC_MAX || !list_grow(kafka) ||
        !line_take(kafka, partition)) {
        free(partition);
        return false;
    }
    memcpy(partition->topic, at->topic, strlen(at->topic) + 1);
    partition->partition = at->partition;
    partition->position = -1;
    partition->template = mapping_of(&kafka->mapping, at->topic);
    partition->slot = slot_of(kafka, at->topic, at->partition);
    partition->queue = rd_kafka_queue_get_partition(kafka->consumer, at->topic, at->partition);
    assert(partition->queue && partition->template && "it was subscribed to");
    kafka_listen(kafka, partition);
    kafka->partitions[kafka->count++] = partition;
    return true;
}

static bool is_in(const rd_kafka_topic_partition_list_t *list,
                  const struct kafka_partition *partition)
{
    return rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)list,
                                              partition->topic, partition->partition) != NULL;
}

static void partitions_remove(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < kafka->count; i++) {
        struct kafka_partition *partition = kafka->partitions[i];
        if (list && !is_in(list, partition)) {
            kafka->partitions[kept++] = partition;
            continue;
        }
        kafka->lines[partition->line].partition = NULL;
        partition_free(kafka, partition);
    }
    kafka->count = kept;
}

void kafka_partitions_free(struct kafka *kafka)
{
    partitions_remove(kafka, NULL);
    free(kafka->partitions);
    kafka->partitions = NULL;
    kafka->capacity = 0;
    if (kafka->revoked)
        rd_kafka_topic_partition_list_destroy(kafka->revoked);
    kafka->revoked = NULL;
}

/* ---- rebalances ---- */

static bool is_cooperative(const struct kafka *kafka)
{
    return strcmp(rd_kafka_rebalance_protocol(kafka->consumer), "COOPERATIVE") == 0;
}

void kafka_error(struct kafka *kafka, rd_kafka_error_t *error)
{
    if (!error)
        return;
    kafka_complain(kafka, rd_kafka_error_code(error), rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

/* Those that there is no room for are this node's, and are not read. */
static void assign(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *read = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        if (partition_add(kafka, at))
            rd_kafka_topic_partition_list_add(read, at->topic, at->partition)->offset = at->offset;
        else
            fprintf(stderr,
                    "ringside-server: kafka: %s[%" PRId32 "] is not read: memory is out, or these "
                    "are more than %d partitions: add nodes\n",
                    at->topic, at->partition, KAFKA_LINES);
    }
    if (is_cooperative(kafka))
        kafka_error(kafka, rd_kafka_incremental_assign(kafka->consumer, read));
    else
        rd_kafka_assign(kafka->consumer, read);
    rd_kafka_topic_partition_list_destroy(read);
}

static void unassign(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list)
{
    kafka_store(kafka);
    partitions_remove(kafka, list);
    if (is_cooperative(kafka))
        kafka_error(kafka, rd_kafka_incremental_unassign(kafka->consumer, list));
    else
        rd_kafka_assign(kafka->consumer, NULL);
}

static bool is_answered(const struct kafka *kafka)
{
    for (unsigned i = 0; i < kafka->count; i++)
        if (kafka->partitions[i]->is_revoked && kafka->partitions[i]->window.sent > 0)
            return false;
    return true;
}

void kafka_revoke_step(struct kafka *kafka)
{
    if (!kafka->revoked || (kafka->now_ns < kafka->revoked_ns && !is_answered(kafka)))
        return;
    rd_kafka_topic_partition_list_t *list = kafka->revoked;
    kafka->revoked = NULL;
    unassign(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Nobody is waited for where others have them already, or where nobody answers any more. */
static void revoke(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list)
{
    bool lost = rd_kafka_assignment_lost(kafka->consumer) != 0;
    kafka_count(&kafka->counters.lost, lost);
    for (unsigned i = 0; i < kafka->count; i++) {
        struct kafka_partition *partition = kafka->partitions[i];
        partition->is_revoked |= is_in(list, partition);
        if (lost && partition->is_revoked)
            partition->is_dirty = false;
    }
    int64_t patience_ns = kafka->settings->broker_timeout_ms * NS_PER_MS;
    kafka->revoked = rd_kafka_topic_partition_list_copy(list);
    kafka->revoked_ns = lost || kafka->is_stale ? 0 : kafka->now_ns + patience_ns;
    kafka_revoke_step(kafka);
}

static void rebalance(struct kafka *kafka, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    kafka->revoked_ns = 0; /* of one that is not over: nobody waits for it any more */
    kafka_revoke_step(kafka);
    kafka_count(&kafka->counters.rebalances, 1);
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        assign(kafka, list);
    else
        revoke(kafka, list);
    kafka_set(&kafka->counters.partitions, kafka->count);
}

/* ---- events ---- */

static void committed(struct kafka *kafka, rd_kafka_resp_err_t err)
{
    if (err == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    kafka_count(err ? &kafka->counters.commit_failures : &kafka->counters.commits, 1);
}

static void take_event(struct kafka *kafka, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        rebalance(kafka, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        committed(kafka, rd_kafka_event_error(event));
        break;
    case RD_KAFKA_EVENT_ERROR:
        kafka_complain(kafka, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        break;
    default:
        break;
    }
}

bool kafka_events(struct kafka *kafka)
{
    for (unsigned taken = 0; taken < KAFKA_EVENTS; taken++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(kafka->events, 0);
        if (!event)
            return false;
        take_event(kafka, event);
        rd_kafka_event_destroy(event);
    }
    return true;
}
