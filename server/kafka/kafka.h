/* kafka: a thread that reads topics of Kafka and publishes their records.
 *
 *   Kafka ──► librdkafka's threads ──► queue of each partition ──► this thread ──► lanes ──► hubs
 *   Kafka ◄── offsets that may be committed ◄── all before are done ◄── answers ◄── lanes ◄──
 *
 * Idea     A helper (hub/helper.h) that is a member of a consumer group. Each partition is read in
 *          order, and is a line of publishes: its records come to a channel in their order. The
 *          offset of a record is committed when it and all before it have been published, or were
 *          refused for what they are. What cannot be published now is held, and its partition is
 *          not read on meanwhile. Decision: docs/decisions/kafka.md.
 * Threads  kafka_create, kafka_start, kafka_end and kafka_free on one thread; kafka_leave and
 *          kafka_stats_each on any.
 * Memory   Its own; messages are the hub's.
 * Bounds   kafka_records_max and kafka_bytes_max under way; kafka_fetch_bytes_max of each partition
 *          in librdkafka; KAFKA_LINES partitions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct helper;
struct hub_set;
struct kafka;
struct settings;
struct ticket;

enum {
    KAFKA_LINES = 16384, /* partitions of this node: hub_config.lines */
    KAFKA_LABELS_MAX = 320,
};

struct kafka_waker {
    void (*wake)(void *context, unsigned shard);
    void *context;
    /* Has an engine begin all channels of a glob anew; kafka_told follows, with that ticket.
     * Returns 0, -ENOBUFS or -ENOMEM. NULL: there is no engine. */
    int (*gap)(struct helper *helper, const struct hub_set *set, const struct ticket *ticket,
               const char *glob);
};

/* Which librdkafka this program has, or that it has none. */
const char *kafka_library(void);

/* Reads the settings, and asks a broker if kafka_required says so. Returns 0, and NULL where
 * kafka_brokers is empty; or negative errno and a sentence. */
int kafka_create(struct kafka **ret, const struct settings *settings, char *why, size_t why_size);
/* Whether it could be created: no broker is asked. Returns 0, or negative errno and a sentence. */
int kafka_check(const struct settings *settings, char *why, size_t why_size);
/* Starts the thread, as that helper of the set; the shards are there. Returns 0 or negative
 * errno. */
int kafka_start(struct kafka *kafka, struct hub_set *set, unsigned which,
                const struct kafka_waker *waker);
/* On its thread: the engine has, or could not; -ENOTSUP: nor will it. */
void kafka_told(struct kafka *kafka, const struct ticket *ticket, int err);
/* It reads no more, and leaves its group when what is under way has been answered: its clients are
 * sent away, and others are to have what comes now. NULL is allowed. */
void kafka_leave(struct kafka *kafka);
/* Stops the thread and waits for it: behind the end of the shards, and before they are freed. NULL
 * is allowed, and so is one that was not started. */
void kafka_end(struct kafka *kafka);
void kafka_free(struct kafka *kafka);

/* What is read, for people. */
const char *kafka_where(const struct kafka *kafka);

/* For /metrics: rows of one name stand together. */
struct kafka_row {
    const char *name, *kind, *help;
    const char *labels; /* as {topic="orders"}; empty: none */
    uint64_t value;
};
void kafka_stats_each(const struct kafka *kafka,
                      void (*row)(void *context, const struct kafka_row *row), void *context);
