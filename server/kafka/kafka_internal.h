/* kafka_internal: the consumer from inside.
 *
 *   kafka.c       the thread: its turn, its wait, its end; counters
 *   rules.c       settings that do not go together
 *   connect.c     what librdkafka is told, and the first look at a broker
 *   trouble.c     what librdkafka complains of, for people
 *   assignment.c  partitions that come and go
 *   gap.c         what comes next is not there any more
 *   records.c     from a partition's queue to the lanes, and the answers
 *   dead.c        records that are refused, where they go to a topic of their own
 *
 * Threads  The consumer's, but for what is atomic.
 * Memory   struct kafka.
 * Bounds   The constants here; the rest is in the settings. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "conf/settings.h"
#include "core/ticket.h"
#include "hub/helper.h"
#include "kafka/kafka.h"
#include "kafka/mapping.h"
#include "kafka/window.h"

enum {
    KAFKA_BATCH = 64,         /* records of a partition in a turn */
    KAFKA_EVENTS = 64,        /* of librdkafka in a turn */
    KAFKA_HEADERS_MAX = 64,   /* of a record that are looked at: the last ones */
    KAFKA_SLOTS = 64,         /* partitions whose lag is told one by one */
    KAFKA_METADATA_MS = 5000, /* how often topics and partitions are looked for */
    KAFKA_CLOSE_MS = 3000,    /* for leaving the group, at the end */
    KAFKA_WHERE_MAX = 512,
    KAFKA_WHY_MAX = 512,
    KAFKA_SECRET_MAX = 1024,
};

#define KAFKA_RETRY_MIN_NS INT64_C(20000000)
#define KAFKA_RETRY_MAX_NS INT64_C(2000000000)
#define KAFKA_SECOND_NS    INT64_C(1000000000)

/* X(name, kind, help) */
#define KAFKA_COUNTERS(X)                                                                          \
    X(partitions, "gauge", "Partitions that this node reads")                                      \
    X(stopped, "gauge", "Of those, how many stand before a record that was refused")               \
    X(under_way, "gauge", "Records that are read and not done")                                    \
    X(under_way_bytes, "gauge", "Their bytes")                                                     \
    X(lag, "gauge", "Records of this node's partitions that are not done, as far as is known")     \
    X(records, "counter", "Records read")                                                          \
    X(published, "counter", "Records published")                                                   \
    X(repeated, "counter", "Records that had been published before, by their key")                 \
    X(held_up, "counter", "Times that a partition waited, for its records were refused for now")   \
    X(dead_letters, "counter", "Refused records that went to kafka_dead_letters")                  \
    X(commits, "counter", "Commits of offsets")                                                    \
    X(commit_failures, "counter", "Commits that failed")                                           \
    X(rebalances, "counter", "Times that partitions came or went")                                 \
    X(lost, "counter", "Times that they were lost: this node was silent for too long")             \
    X(gaps, "counter", "Times that what came next in a partition was not there any more")

/* What librdkafka complains of. X(NAME, name) */
#define KAFKA_TROUBLES(X)                                                                          \
    X(CONNECTION, connection)                                                                      \
    X(AUTHENTICATION, authentication)                                                              \
    X(TLS, tls)                                                                                    \
    X(TOPIC, topic)                                                                                \
    X(OTHER, other)

enum kafka_trouble {
#define KAFKA_TROUBLE(upper, lower) KAFKA_TROUBLE_##upper,
    KAFKA_TROUBLES(KAFKA_TROUBLE)
#undef KAFKA_TROUBLE
    KAFKA_TROUBLE_COUNT,
};

struct kafka_counters {
#define KAFKA_COUNTER(name, kind, help) _Atomic uint64_t name;
    KAFKA_COUNTERS(KAFKA_COUNTER)
#undef KAFKA_COUNTER
    _Atomic uint64_t refused[KAFKA_REFUSAL_COUNT];
    _Atomic uint64_t troubles[KAFKA_TROUBLE_COUNT];
};

/* A partition whose lag is told. Its name is written once, before `known` is. */
struct kafka_slot {
    char topic[KAFKA_TOPIC_MAX + 1];
    int32_t partition;
    _Atomic uint64_t lag;
    atomic_bool known;
};

/* What Kafka threw away of a topic before it was read; likewise. The last is for all others, and
 * has no name. */
struct kafka_missed {
    char topic[KAFKA_TOPIC_MAX + 1];
    _Atomic uint64_t records;
    atomic_bool known;
};

enum kafka_gap_state {
    KAFKA_GAP_NONE,
    KAFKA_GAP_SEEN,  /* it is not known how large it is */
    KAFKA_GAP_TOLD,  /* shards are, and have not all answered */
    KAFKA_GAP_KNOWN, /* it is read on at `to` */
};

struct kafka_gap {
    enum kafka_gap_state state;
    int64_t offset; /* what was to come; negative: the group begins */
    int64_t to;
    int64_t retry_ns;
    unsigned told, answers; /* shards, or the engine; those of them that have not answered */
    bool failed;            /* the engine could not, and that was said */
};

struct kafka_partition {
    char topic[KAFKA_TOPIC_MAX + 1];
    int32_t partition;
    uint32_t line;
    rd_kafka_queue_t *queue;
    const struct kafka_template *template; /* NULL: of no topic that is mapped any more */
    struct window window;
    struct kafka_gap gap;    /* nothing is read meanwhile */
    struct kafka_slot *slot; /* NULL: there is none left */
    int64_t position;        /* behind the last that is done; -1: none is */
    bool is_dirty;           /* and it is not said yet that it may be committed */
    bool is_stopped;         /* a record was refused, and kafka_refused is stop */
    bool is_revoked;         /* it goes as soon as what is under way is answered */
    int64_t retry_ns;        /* when what failed is sent again; 0: nothing failed */
    int64_t backoff_ns;
};

struct kafka_line {
    struct kafka_partition *partition; /* NULL: it is free */
    uint32_t run;
};

enum kafka_life {
    KAFKA_READS,
    KAFKA_LEAVES, /* until what is under way is answered */
    KAFKA_CLOSES, /* until librdkafka has left the group */
    KAFKA_LEFT,
};

struct kafka {
    const struct settings *settings;
    struct kafka_mapping mapping;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *events; /* whatever is not a record */
    rd_kafka_t *producer;     /* of dead letters; NULL: they go nowhere */
    rd_kafka_queue_t *reports;
    struct hub_set *set;
    unsigned which;
    struct kafka_waker waker;
    struct helper *helper;
    pthread_t thread;
    bool started;
    atomic_bool leaving;
    enum kafka_life life;
    bool keys;        /* records are published with a key */
    bool is_answered; /* something was, since the last reading: there may be room */
    bool is_stale;    /* what they are read for has gone: nobody answers any more */
    int64_t now_ns, until_ns, tick_ns;
    struct kafka_line lines[KAFKA_LINES];
    uint32_t line_hint;
    struct kafka_partition **partitions;
    unsigned count, capacity;
    unsigned first;                           /* which is read first in this turn */
    rd_kafka_topic_partition_list_t *revoked; /* to be given back when `revoked_ns` has come, or
                                                 what is under way is answered; NULL: none */
    int64_t revoked_ns;
    struct kafka_slot slots[KAFKA_SLOTS];
    struct kafka_missed missed[KAFKA_SLOTS];
    uint64_t records, bytes; /* under way */
    struct kafka_counters counters;
    int64_t said_ns[KAFKA_TROUBLE_COUNT];
    int64_t said_refused_ns;
    uint64_t unsaid; /* refused since */
    char where[KAFKA_WHERE_MAX];
    char trouble[KAFKA_WHY_MAX]; /* the newest, before the thread is there */
    enum kafka_trouble trouble_kind;
};

static inline void kafka_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline void kafka_count(_Atomic uint64_t *counter, uint64_t more)
{
    kafka_set(counter, atomic_load_explicit(counter, memory_order_relaxed) + more);
}

/* ---- rules.c ---- */

/* Returns 0, or -EINVAL and a sentence that names the setting. */
int kafka_rules_check(const struct settings *settings, const struct kafka_mapping *mapping,
                      char *why, size_t why_size);

/* ---- connect.c ---- */

/* Makes the consumer, and the producer if one is wanted. Returns 0, or negative errno and a
 * sentence. */
int kafka_connect(struct kafka *kafka, char *why, size_t why_size);
/* Waits until a broker has answered. Returns likewise. */
int kafka_reach(struct kafka *kafka, char *why, size_t why_size);
/* Begins to be a member of the group. */
int kafka_subscribe(struct kafka *kafka);

/* ---- trouble.c ---- */

/* Counts it, and says it if nothing of its kind was said a minute ago. */
void kafka_complain(struct kafka *kafka, rd_kafka_resp_err_t err, const char *text);

/* ---- assignment.c ---- */

/* Takes what librdkafka has to say besides records. Returns true when there is more. */
bool kafka_events(struct kafka *kafka);
/* Gives back what was revoked, if it is time. */
void kafka_revoke_step(struct kafka *kafka);
void kafka_partitions_free(struct kafka *kafka);
/* Its records come by its queue. */
void kafka_listen(struct kafka *kafka, struct kafka_partition *partition);
/* Complains of it, if it is one, and frees it. */
void kafka_error(struct kafka *kafka, rd_kafka_error_t *error);

/* ---- gap.c ---- */

/* What was to come next is not there. Negative: nothing was; the group begins. */
void kafka_gap(struct kafka_partition *partition, int64_t offset);
/* Whether there is something to do for it at once. */
bool kafka_gap_is_due(const struct kafka *kafka, const struct kafka_partition *partition);
/* A step of all of them. */
void kafka_gaps(struct kafka *kafka);

/* ---- records.c ---- */

/* Whose line it is, if that is in the same run; else NULL. */
struct kafka_partition *kafka_partition_of(const struct kafka *kafka, const struct ticket *ticket);
/* Sends what waits, and reads on where there is room. Returns true when there is more. */
bool kafka_read(struct kafka *kafka);
/* For helper_ops. */
void kafka_published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                     uint64_t offset);
/* The record with that ticket is done, or is to be tried again. */
void kafka_done(struct kafka *kafka, const struct ticket *ticket, bool done);
/* Says which offsets may be committed. */
void kafka_store(struct kafka *kafka);
/* Gives back what of the partition is under way. */
void kafka_forget(struct kafka *kafka, struct kafka_partition *partition);

/* ---- dead.c ---- */

/* Sends it to kafka_dead_letters; kafka_done follows. Returns 0, or negative errno. */
int kafka_bury(struct kafka *kafka, const rd_kafka_message_t *record, enum kafka_refusal refusal,
               const struct ticket *ticket);
void kafka_reports(struct kafka *kafka);
