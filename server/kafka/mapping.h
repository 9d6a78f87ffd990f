/* mapping: to which channel a record of Kafka is published, and as what.
 *
 *   kafka_topics    orders=orders:{key}   chat={header:room}   ^metrics\..*
 *                   topic  template                            by kafka_channel
 *
 * Idea     A template is text with {topic}, {partition}, {key} and {header:NAME} in it. What it
 *          makes of a record is a channel's name, or the record is refused: nothing is left out,
 *          cut or replaced, so that two keys are never one channel.
 * Threads  Read-only after mapping_read.
 * Memory   A mapping has regular expressions: mapping_done. A draft points into the record, and
 *          into itself.
 * Bounds   KAFKA_TOPICS_MAX, KAFKA_PARTS_MAX of a template, KAFKA_TAGS_MAX names of tags,
 *          KAFKA_TAG_BYTES_MAX of JSON. */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/message.h"
#include "wire/span.h"

struct settings;

enum {
    KAFKA_TOPICS_MAX = 64,
    KAFKA_TOPIC_MAX = 249,      /* bytes of a topic's name, as Kafka has it */
    KAFKA_PATTERN_PLUS_MAX = 8, /* of + in a regular expression */
    KAFKA_PARTS_MAX = 16,
    KAFKA_TAGS_MAX = 16,
    KAFKA_TAG_BYTES_MAX = 4096, /* as the server API has it */
    KAFKA_KEY_BYTES = KAFKA_TOPIC_MAX + 24,
    KAFKA_GLOB_BYTES = 512,
};

/* X(NAME, name, sentence) */
#define KAFKA_REFUSALS(X)                                                                          \
    X(NO_CHANNEL, no_channel, "has no key or header that its template wants")                      \
    X(BAD_CHANNEL, bad_channel, "names no channel: 1 to 128 of A-Z a-z 0-9 - _ . : / @ # ,")       \
    X(BAD_TAGS, bad_tags, "has tags that are no UTF-8, or more than 4096 bytes of them")           \
    X(TOO_LARGE, too_large, "is larger than message_bytes_max, or than the engine takes")          \
    X(NO_VALUE, no_value, "has no value: a tombstone")                                             \
    X(ENDED, ended, "is for a channel whose last message has been published")

enum kafka_refusal {
    KAFKA_TAKEN,
#define KAFKA_REFUSAL(upper, lower, sentence) KAFKA_##upper,
    KAFKA_REFUSALS(KAFKA_REFUSAL)
#undef KAFKA_REFUSAL
    KAFKA_REFUSAL_COUNT,
};

const char *kafka_refusal_name(enum kafka_refusal refusal);
const char *kafka_refusal_sentence(enum kafka_refusal refusal);

/* ---- what the settings say ---- */

enum kafka_part_kind {
    KAFKA_TEXT,
    KAFKA_TOPIC,
    KAFKA_PARTITION,
    KAFKA_KEY,
    KAFKA_HEADER,
};

struct kafka_part {
    enum kafka_part_kind kind;
    struct span text; /* TEXT, or the HEADER's name; the settings' */
};

struct kafka_template {
    struct kafka_part parts[KAFKA_PARTS_MAX];
    unsigned count;
};

struct kafka_topic {
    char name[KAFKA_TOPIC_MAX + 1];
    bool is_pattern; /* it begins with ^ */
    regex_t pattern;
    struct kafka_template template;
};

struct kafka_mapping {
    struct kafka_topic topics[KAFKA_TOPICS_MAX];
    unsigned count;
    struct span tags[KAFKA_TAGS_MAX]; /* names of headers; the settings' */
    unsigned tags_count;
    bool all_tags; /* every header */
    uint64_t message_bytes_max;
};

/* Returns 0, or -EINVAL and a sentence. The settings stay. */
int mapping_read(struct kafka_mapping *ret, const struct settings *settings, char *why,
                 size_t why_size);
void mapping_done(struct kafka_mapping *mapping);

/* Of one topic, which is no pattern. */
bool mapping_topic_is_good(struct span name);

/* By which template records of that topic go: of its name, or of the first pattern; NULL: none. */
const struct kafka_template *mapping_of(const struct kafka_mapping *mapping, const char *topic);

/* The names that a template may make of a partition's records, where * is one byte or more. What is
 * longer than any name is of none. */
void mapping_glob(char ret[KAFKA_GLOB_BYTES], const struct kafka_template *template,
                  const char *topic, int32_t partition);
bool mapping_glob_has(const char *glob, struct span name);

/* ---- what a record says ---- */

struct kafka_header {
    struct span name, value;
};

/* A value or a key that is not there has no `ptr`. */
struct kafka_record {
    struct span topic;
    int32_t partition;
    int64_t offset, time_ms;
    struct span key, value;
    const struct kafka_header *headers;
    unsigned headers_count;
};

/* What is to be published. */
struct kafka_draft {
    char channel[CHANNEL_NAME_MAX];
    size_t channel_len;
    char more[KAFKA_TAG_BYTES_MAX + 16]; /* ,"tags":{…} */
    size_t more_len;
};

enum kafka_refusal mapping_draft(struct kafka_draft *ret, const struct kafka_mapping *mapping,
                                 const struct kafka_template *template,
                                 const struct kafka_record *record);

/* What tells a record from all others: its topic, partition and offset; and its time, by which one
 * of a topic that was removed and made again is another. Returns how many bytes. */
size_t mapping_key(char ret[KAFKA_KEY_BYTES], const struct kafka_record *record);
