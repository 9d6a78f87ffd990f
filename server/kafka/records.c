/* records: from the queue of a partition to the lanes, and the answers. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "hub/hub.h"
#include "kafka/kafka_internal.h"
#include "wire/utf8.h"

/* ---- done ---- */

static void record_free(struct kafka *kafka, struct window_entry *entry)
{
    if (!entry->record)
        return;
    rd_kafka_message_destroy(entry->record);
    entry->record = NULL;
    kafka->bytes -= entry->bytes;
}

static void retire(struct kafka *kafka, struct kafka_partition *partition)
{
    int64_t offset;
    uint32_t count = window_retire(&partition->window, &offset);
    if (count == 0)
        return;
    kafka->records -= count;
    partition->position = offset + 1;
    partition->is_dirty = true;
}

void kafka_forget(struct kafka *kafka, struct kafka_partition *partition)
{
    struct window_entry entry;
    while (window_drop(&partition->window, &entry)) {
        record_free(kafka, &entry);
        kafka->records--;
    }
    window_done(&partition->window);
}

void kafka_store(struct kafka *kafka)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (unsigned i = 0; i < kafka->count; i++) {
        struct kafka_partition *partition = kafka->partitions[i];
        if (!partition->is_dirty)
            continue;
        list = list ? list : rd_kafka_topic_partition_list_new((int)kafka->count);
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)->offset =
            partition->position;
        partition->is_dirty = false;
    }
    if (!list)
        return;
    rd_kafka_offsets_store(kafka->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- refused ---- */

static void say_refused(struct kafka *kafka, const struct kafka_partition *partition,
                        int64_t offset, enum kafka_refusal refusal)
{
    if (kafka->said_refused_ns != 0 && kafka->now_ns - kafka->said_refused_ns < KAFKA_SECOND_NS) {
        kafka->unsaid++;
        return;
    }
    kafka->said_refused_ns = kafka->now_ns;
    fprintf(stderr,
            "ringside-server: kafka: %s[%" PRId32 "] at %" PRId64 ": %s: %s (%" PRIu64
            " others since the last such line)\n",
            partition->topic, partition->partition, offset, kafka_refusal_name(refusal),
            kafka_refusal_sentence(refusal), kafka->unsaid);
    kafka->unsaid = 0;
}

/* What becomes of it. Returns true when it is done with. */
static bool refuse(struct kafka *kafka, struct kafka_partition *partition,
                   const struct window_entry *entry, enum kafka_refusal refusal)
{
    kafka_count(&kafka->counters.refused[refusal], 1);
    if (refusal == KAFKA_NO_VALUE)
        return true; /* that is how a compacted topic says that a key is gone */
    say_refused(kafka, partition, entry->offset, refusal);
    if (kafka->settings->kafka_refused != KAFKA_REFUSED_STOP)
        return true;
    partition->is_stopped = true;
    fprintf(stderr,
            "ringside-server: kafka: %s[%" PRId32 "] is not read on, as kafka_refused = stop: "
            "commit an offset behind %" PRId64 " for the group, and start again\n",
            partition->topic, partition->partition, entry->offset);
    return false;
}

/* ---- sent ---- */

static struct span span_or_none(const void *bytes, size_t len)
{
    return bytes ? span_of(bytes, len) : (struct span){0};
}

static unsigned headers_read(struct kafka_header ret[KAFKA_HEADERS_MAX],
                             const rd_kafka_message_t *record)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    size_t count = rd_kafka_header_cnt(headers), len;
    size_t first = count > KAFKA_HEADERS_MAX ? count - KAFKA_HEADERS_MAX : 0;
    const char *name;
    const void *value;
    unsigned read = 0;
    for (size_t i = first; i < count; i++)
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR)
            ret[read++] = (struct kafka_header){span_from(name), span_of(value ? value : "", len)};
    return read;
}

static struct message *message_make(struct kafka *kafka, const struct kafka_record *record,
                                    const struct kafka_draft *draft)
{
    char key[KAFKA_KEY_BYTES];
    struct message_terms terms = {0};
    struct message_parts parts = {
        .name = draft->channel,
        .name_len = draft->channel_len,
        .hash = hub_hash(kafka->set, draft->channel, draft->channel_len),
        .payload = record->value.ptr,
        .payload_len = record->value.len,
        .utf8 = utf8_valid(record->value),
        .more = draft->more,
        .more_len = draft->more_len,
    };
    if (kafka->keys) {
        terms.key = hub_key_hash(kafka->set, key, mapping_key(key, record));
        parts.terms = &terms;
    }
    return message_create_of(&parts);
}

static struct ticket ticket_of(const struct kafka *kafka, const struct kafka_partition *partition,
                               uint32_t number)
{
    return (struct ticket){
        .conn = number, .generation = kafka->lines[partition->line].run, .tag = partition->line};
}

/* Returns 0 when it was sent or is done with, or negative errno: it waits. */
static int send_one(struct kafka *kafka, struct kafka_partition *partition, uint32_t number,
                    struct window_entry *entry)
{
    const rd_kafka_message_t *raw = entry->record;
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    struct kafka_draft draft;
    const struct kafka_record record = {
        .topic = span_from(partition->topic),
        .partition = raw->partition,
        .offset = raw->offset,
        .time_ms = rd_kafka_message_timestamp(raw, NULL),
        .key = span_or_none(raw->key, raw->key_len),
        .value = span_or_none(raw->payload, raw->len),
        .headers = headers,
        .headers_count = headers_read(headers, raw),
    };
    const struct ticket ticket = ticket_of(kafka, partition, number);
    enum kafka_refusal refusal =
        mapping_draft(&draft, &kafka->mapping, partition->template, &record);
    if (refusal != KAFKA_TAKEN) {
        if (kafka->producer && refusal != KAFKA_NO_VALUE) {
            int err = kafka_bury(kafka, raw, refusal, &ticket);
            if (err < 0)
                return err;
            refuse(kafka, partition, entry, refusal);
            window_sent(&partition->window);
            return 0;
        }
        if (!refuse(kafka, partition, entry, refusal))
            return -ECANCELED;
        record_free(kafka, entry);
        window_skip(&partition->window);
        return 0;
    }
    struct message *message = message_make(kafka, &record, &draft);
    int err = message ? helper_publish(kafka->helper, &ticket, message) : -ENOMEM;
    if (err == 0)
        window_sent(&partition->window);
    else
        message_unref(message);
    return err;
}

/* What waits, as far as lanes have room. */
static void send_all(struct kafka *kafka, struct kafka_partition *partition)
{
    struct window *window = &partition->window;
    struct window_entry *entry;
    uint32_t number;
    int err = 0;
    if (window->is_broken || partition->is_stopped || kafka->now_ns < partition->retry_ns)
        return;
    while (err == 0 && (entry = window_next(window, &number)))
        err = send_one(kafka, partition, number, entry);
    if (err == -ENOMEM)
        partition->retry_ns = kafka->now_ns + KAFKA_RETRY_MIN_NS;
    retire(kafka, partition);
}

/* ---- answers ---- */

struct kafka_partition *kafka_partition_of(const struct kafka *kafka, const struct ticket *ticket)
{
    const struct kafka_line *line = &kafka->lines[ticket->tag];
    return line->run == ticket->generation ? line->partition : NULL;
}

/* All of the run is answered: the next one begins, later. */
static void begin_again(struct kafka *kafka, struct kafka_partition *partition)
{
    struct kafka_line *line = &kafka->lines[partition->line];
    line->run += line->run == UINT32_MAX ? 2 : 1;
    window_again(&partition->window);
    int64_t backoff_ns = 2 * partition->backoff_ns;
    partition->backoff_ns = backoff_ns < KAFKA_RETRY_MIN_NS   ? KAFKA_RETRY_MIN_NS
                            : backoff_ns > KAFKA_RETRY_MAX_NS ? KAFKA_RETRY_MAX_NS
                                                              : backoff_ns;
    partition->retry_ns = kafka->now_ns + partition->backoff_ns;
    kafka_count(&kafka->counters.held_up, 1);
}

void kafka_done(struct kafka *kafka, const struct ticket *ticket, bool done)
{
    struct kafka_partition *partition = kafka_partition_of(kafka, ticket);
    kafka->is_answered = true;
    if (!partition)
        return;
    if (done) {
        record_free(kafka, window_at(&partition->window, ticket->conn));
        partition->backoff_ns = 0;
    }
    bool over = window_answered(&partition->window, ticket->conn, done);
    retire(kafka, partition);
    if (over)
        begin_again(kafka, partition);
}

/* It was good when it was sent, but its channel or the engine will never take it. */
static void refuse_late(struct kafka *kafka, struct kafka_partition *partition,
                        const struct ticket *ticket, enum kafka_refusal refusal)
{
    const struct window_entry *entry = window_at(&partition->window, ticket->conn);
    if (kafka->producer && kafka_bury(kafka, entry->record, refusal, ticket) < 0) {
        kafka_done(kafka, ticket, false);
        return;
    }
    bool done = refuse(kafka, partition, entry, refusal);
    if (!kafka->producer)
        kafka_done(kafka, ticket, done);
}

void kafka_published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                     uint64_t offset)
{
    struct kafka *kafka = context;
    struct kafka_partition *partition = kafka_partition_of(kafka, ticket);
    (void)epoch;
    (void)offset;
    if (!partition)
        return;
    if (err == -EPIPE || err == -EMSGSIZE) {
        refuse_late(kafka, partition, ticket, err == -EPIPE ? KAFKA_ENDED : KAFKA_TOO_LARGE);
        return;
    }
    if (err >= 0)
        kafka_count(err == 0 ? &kafka->counters.published : &kafka->counters.repeated, 1);
    kafka_done(kafka, ticket, err >= 0);
}

/* ---- read ---- */

static bool wants_more(const struct kafka *kafka, const struct kafka_partition *partition)
{
    const struct window *window = &partition->window;
    return kafka->life == KAFKA_READS && !partition->is_stopped && !partition->is_revoked &&
           partition->gap.state == KAFKA_GAP_NONE && !window->is_broken &&
           window->next == window->end &&
           kafka->records < (uint64_t)kafka->settings->kafka_records_max &&
           kafka->bytes < (uint64_t)kafka->settings->kafka_bytes_max;
}

static void take(struct kafka *kafka, struct kafka_partition *partition, rd_kafka_message_t *record)
{
    if (record->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        kafka_gap(partition, record->offset);
        rd_kafka_message_destroy(record);
        return;
    }
    if (record->err) {
        kafka_complain(kafka, record->err, rd_kafka_message_errstr(record));
        rd_kafka_message_destroy(record);
        return;
    }
    uint32_t bytes = (uint32_t)(record->len + record->key_len);
    int err = window_push(&partition->window, record, record->offset, bytes);
    assert(err == 0 && "24 bytes for a record that is there");
    kafka_count(&kafka->counters.records, 1);
    kafka->records++;
    kafka->bytes += bytes;
}

/* Returns true when there may be more. */
static bool read_partition(struct kafka *kafka, struct kafka_partition *partition)
{
    rd_kafka_message_t *records[KAFKA_BATCH];
    uint64_t room = (uint64_t)kafka->settings->kafka_records_max - kafka->records;
    size_t most = room < KAFKA_BATCH ? (size_t)room : (size_t)KAFKA_BATCH;
    ssize_t count = rd_kafka_consume_batch_queue(partition->queue, 0, records, most);
    for (ssize_t i = 0; i < count; i++)
        take(kafka, partition, records[i]);
    if (count > 0)
        send_all(kafka, partition);
    return count == (ssize_t)most;
}

bool kafka_read(struct kafka *kafka)
{
    bool more = false;
    kafka->first++; /* where there is little room each is the first in its turn */
    for (unsigned i = 0; i < kafka->count; i++) {
        struct kafka_partition *partition = kafka->partitions[(kafka->first + i) % kafka->count];
        send_all(kafka, partition);
        if (wants_more(kafka, partition) && read_partition(kafka, partition))
            more = true;
    }
    kafka_set(&kafka->counters.under_way, kafka->records);
    kafka_set(&kafka->counters.under_way_bytes, kafka->bytes);
    return more;
}
