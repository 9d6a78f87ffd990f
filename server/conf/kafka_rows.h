/* kafka_rows: the settings of Kafka as a source, a part of the table in conf/settings.h. */
#pragma once

/* Where a group begins that has committed nothing. */
enum kafka_start {
    KAFKA_START_LATEST,
    KAFKA_START_EARLIEST,
};

/* What becomes of a partition behind a record that cannot be published. */
enum kafka_refused {
    KAFKA_REFUSED_SKIP,
    KAFKA_REFUSED_STOP,
};

#define SETTINGS_KAFKA(X, SECTION)                                                                 \
    SECTION("kafka")                                                                               \
    X(TEXT, kafka_brokers, "", 0, 0, "list of address:port",                                       \
      "Brokers of a Kafka whose records are published here, as 10.0.0.5:9092,10.0.0.6:9092; one "  \
      "that answers tells of the others. Empty: none. docs/KAFKA.md says what is promised.")       \
    X(LIST, kafka_topics, "", 0, 0, "list of TOPIC or TOPIC=TEMPLATE",                             \
      "What is read: topics, and regular expressions that begin with ^, separated by spaces; "     \
      "behind = what makes the channel of a record, if it is not kafka_channel.")                  \
    X(TEXT, kafka_channel, "{topic}", 0, 0, "template",                                            \
      "The channel of a record: text with {topic}, {partition}, {key} and {header:NAME} in it, "   \
      "as orders:{key}.")                                                                          \
    X(TEXT, kafka_group, "ringside", 0, 0, "name",                                                 \
      "The consumer group, by which Kafka remembers what was read. Nodes around one engine share " \
      "a group, and so the partitions; nodes without an engine need a group each, since each "     \
      "must read all.")                                                                            \
    X(KAFKA_START, kafka_start, KAFKA_START_LATEST, 0, 1, "latest or earliest",                    \
      "Where a group begins that has committed nothing; and a partition whose log ends before "    \
      "what was to come next.")                                                                    \
    X(LIST, kafka_tags, "", 0, 0, "list of names",                                                 \
      "Headers that clients of the Centrifuge protocol are given as tags; * is all of them.")      \
    X(SWITCH, kafka_keys, true, 0, 1, "on/off",                                                    \
      "Each record is published with a key of its topic, partition and offset, so that one which " \
      "is read again is not published again. Keys take places among idempotency_keys_max. Not "    \
      "with NATS, which has none.")                                                                \
    X(NUMBER, kafka_records_max, 10000, 1, 10000000, "count",                                      \
      "Records that are read and not yet published and answered, over all partitions; no more "    \
      "are taken meanwhile.")                                                                      \
    X(NUMBER, kafka_bytes_max, 67108864, 65536, 1099511627776, "bytes", "Likewise, their bytes.")  \
    X(NUMBER, kafka_fetch_bytes_max, 1048576, 1024, 1000000000, "bytes",                           \
      "Of each partition, what is fetched before it is wanted; one record is, however large.")     \
    X(NUMBER, kafka_commit_ms, 1000, 10, 3600000, "ms",                                            \
      "How often is committed what was published. So much is read again after a crash.")           \
    X(NUMBER, kafka_session_ms, 10000, 1000, 300000, "ms",                                         \
      "When a node has been silent for so long others have its partitions. Brokers allow 6000 "    \
      "and more, if they are not told otherwise.")                                                 \
    X(SWITCH, kafka_required, true, 0, 1, "on/off",                                                \
      "Without a broker the server does not start. off: it starts, and reads when there is one.")  \
    X(KAFKA_REFUSED, kafka_refused, KAFKA_REFUSED_SKIP, 0, 1, "skip or stop",                      \
      "A record that never can be published, as one with a bad channel, is counted, said and "     \
      "passed over; or its partition is not read on.")                                             \
    X(TEXT, kafka_dead_letters, "", 0, 0, "topic",                                                 \
      "Where such a record goes, with the reason as a header. Empty: nowhere.")                    \
    X(SWITCH, kafka_tls, false, 0, 1, "on/off", "Brokers are spoken to by TLS.")                   \
    X(TEXT, kafka_authorities, "", 0, 0, "path",                                                   \
      "Certificates (PEM) of the authorities that brokers are believed by. Empty: the system's.")  \
    X(TEXT, kafka_certificate, "", 0, 0, "path",                                                   \
      "The certificate (PEM) that is shown to brokers which ask for one.")                         \
    X(TEXT, kafka_certificate_key, "", 0, 0, "path", "Its key.")                                   \
    X(TEXT, kafka_sasl, "", 0, 0, "mechanism",                                                     \
      "How to say who we are: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Empty: not. PLAIN without "   \
      "kafka_tls tells everybody on the way.")                                                     \
    X(TEXT, kafka_user, "", 0, 0, "name", "Whom to be there.")                                     \
    X(TEXT, kafka_password, "", 0, 0, "file:PATH or env:NAME", "Where the password stands.")
