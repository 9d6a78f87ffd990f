/* connect: what librdkafka is told by the settings, and the first look at a broker. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/password.h"
#include "kafka/kafka_internal.h"

enum {
    REACH_STEP_MS = 100,
    HEARTBEATS = 10, /* in a session: by them a node hears of a rebalance */
};

struct property {
    const char *name, *value;
};

/* What it would write to the standard error itself comes as an event, too. */
static void log_nothing(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    (void)facility;
    (void)text;
}

/* An empty value leaves it as it is. */
static int set(rd_kafka_conf_t *conf, const struct property *property, char *why, size_t why_size)
{
    char error[KAFKA_WHY_MAX];
    if (property->value[0] == '\0' || rd_kafka_conf_set(conf, property->name, property->value,
                                                        error, sizeof error) == RD_KAFKA_CONF_OK)
        return 0;
    snprintf(why, why_size, "kafka: %s", error);
    return -EINVAL;
}

static int set_each(rd_kafka_conf_t *conf, const struct property *properties, size_t count,
                    char *why, size_t why_size)
{
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++)
        err = set(conf, &properties[i], why, why_size);
    return err;
}

#define SET_EACH(conf, properties, why, why_size)                                                  \
    set_each(conf, properties, sizeof(properties) / sizeof((properties)[0]), why, why_size)

static const char *protocol_of(const struct settings *settings)
{
    if (settings->kafka_sasl[0] != '\0')
        return settings->kafka_tls ? "sasl_ssl" : "sasl_plaintext";
    return settings->kafka_tls ? "ssl" : "plaintext";
}

/* Said by the names of our settings, before librdkafka says it by those of its own. */
static int files_check(const struct settings *settings, char *why, size_t why_size)
{
    const struct property files[] = {
        {"kafka_authorities", settings->kafka_authorities},
        {"kafka_certificate", settings->kafka_certificate},
        {"kafka_certificate_key", settings->kafka_certificate_key},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i].value[0] == '\0' || access(files[i].value, R_OK) == 0)
            continue;
        snprintf(why, why_size, "%s = %.200s: %s", files[i].name, files[i].value, strerror(errno));
        return -EINVAL;
    }
    return 0;
}

/* Who the brokers are, and who we are to them. */
static int set_way(rd_kafka_conf_t *conf, const struct settings *settings, char *why,
                   size_t why_size)
{
    char password[KAFKA_SECRET_MAX];
    int err = files_check(settings, why, why_size);
    if (err == 0)
        err = password_read(password, sizeof password, "kafka", settings->kafka_password, why,
                            why_size);
    if (err < 0)
        return err;
    const struct property properties[] = {
        {"client.id", "ringside"},
        {"bootstrap.servers", settings->kafka_brokers},
        {"security.protocol", protocol_of(settings)},
        {"ssl.ca.location", settings->kafka_authorities},
        {"ssl.certificate.location", settings->kafka_certificate},
        {"ssl.key.location", settings->kafka_certificate_key},
        {"sasl.mechanisms", settings->kafka_sasl},
        {"sasl.username", settings->kafka_user},
        {"sasl.password", password},
        {"reconnect.backoff.ms", "50"},
        {"reconnect.backoff.max.ms", "2000"},
    };
    err = SET_EACH(conf, properties, why, why_size);
    explicit_bzero(password, sizeof password);
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    return err;
}

static void number_write(char ret[24], int64_t number)
{
    snprintf(ret, 24, "%" PRId64, number);
}

static int set_reading(rd_kafka_conf_t *conf, const struct settings *settings, char *why,
                       size_t why_size)
{
    char commit_ms[24], session_ms[24], heartbeat_ms[24], fetch[24], queued[24], metadata_ms[24];
    number_write(commit_ms, settings->kafka_commit_ms);
    number_write(session_ms, settings->kafka_session_ms);
    number_write(heartbeat_ms, settings->kafka_session_ms / HEARTBEATS);
    number_write(fetch, settings->kafka_fetch_bytes_max);
    number_write(queued, settings->kafka_fetch_bytes_max / 1024);
    number_write(metadata_ms, KAFKA_METADATA_MS);
    const struct property properties[] = {
        {"group.id", settings->kafka_group},
        {"auto.offset.reset", "error"}, /* gap.c, and kafka_start */
        /* What is stored is committed: now and then, when partitions go, and at the end. */
        {"enable.auto.commit", "true"},
        {"enable.auto.offset.store", "false"},
        {"auto.commit.interval.ms", commit_ms},
        {"session.timeout.ms", session_ms},
        {"heartbeat.interval.ms", heartbeat_ms},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"fetch.message.max.bytes", fetch},
        {"queued.max.messages.kbytes", queued},
        {"topic.metadata.refresh.interval.ms", metadata_ms},
    };
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                                       RD_KAFKA_EVENT_ERROR);
    return SET_EACH(conf, properties, why, why_size);
}

/* Takes over the configuration. */
static int make(rd_kafka_t **ret, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why,
                size_t why_size)
{
    char error[KAFKA_WHY_MAX];
    *ret = rd_kafka_new(type, conf, error, sizeof error);
    if (*ret)
        return 0;
    rd_kafka_conf_destroy(conf);
    snprintf(why, why_size, "kafka: %s", error);
    return -EINVAL;
}

static int consumer_make(struct kafka *kafka, char *why, size_t why_size)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int err = set_way(conf, kafka->settings, why, why_size);
    if (err == 0)
        err = set_reading(conf, kafka->settings, why, why_size);
    if (err < 0) {
        rd_kafka_conf_destroy(conf);
        return err;
    }
    err = make(&kafka->consumer, RD_KAFKA_CONSUMER, conf, why, why_size);
    if (err < 0)
        return err;
    rd_kafka_poll_set_consumer(kafka->consumer);
    kafka->events = rd_kafka_queue_get_consumer(kafka->consumer);
    return 0;
}

static int producer_make(struct kafka *kafka, char *why, size_t why_size)
{
    static const struct property properties[] = {
        {"acks", "all"},
        {"linger.ms", "5"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int err = set_way(conf, kafka->settings, why, why_size);
    if (err == 0)
        err = SET_EACH(conf, properties, why, why_size);
    if (err < 0) {
        rd_kafka_conf_destroy(conf);
        return err;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    err = make(&kafka->producer, RD_KAFKA_PRODUCER, conf, why, why_size);
    if (err == 0)
        kafka->reports = rd_kafka_queue_get_main(kafka->producer);
    return err;
}

int kafka_connect(struct kafka *kafka, char *why, size_t why_size)
{
    int err = consumer_make(kafka, why, why_size);
    if (err == 0 && kafka->settings->kafka_dead_letters[0] != '\0')
        err = producer_make(kafka, why, why_size);
    return err;
}

/* ---- the first look ---- */

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A password or a certificate that is wrong is so the next time, too. */
static bool is_hopeless(const struct kafka *kafka)
{
    return kafka->trouble[0] != '\0' && (kafka->trouble_kind == KAFKA_TROUBLE_AUTHENTICATION ||
                                         kafka->trouble_kind == KAFKA_TROUBLE_TLS);
}

int kafka_reach(struct kafka *kafka, char *why, size_t why_size)
{
    const struct rd_kafka_metadata *metadata;
    int64_t until_ms = clock_ms() + kafka->settings->broker_timeout_ms;
    rd_kafka_resp_err_t err;
    do {
        err = rd_kafka_metadata(kafka->consumer, 0, NULL, &metadata, REACH_STEP_MS);
        kafka_events(kafka);
    } while (err && clock_ms() < until_ms && !is_hopeless(kafka));
    if (!err) {
        rd_kafka_metadata_destroy(metadata);
        return 0;
    }
    snprintf(why, why_size, "kafka_brokers = %.200s: %s", kafka->settings->kafka_brokers,
             kafka->trouble[0] != '\0' ? kafka->trouble : rd_kafka_err2str(err));
    return -ENOTCONN;
}

int kafka_subscribe(struct kafka *kafka)
{
    const struct kafka_mapping *mapping = &kafka->mapping;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)mapping->count);
    for (unsigned i = 0; i < mapping->count; i++)
        rd_kafka_topic_partition_list_add(list, mapping->topics[i].name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(kafka->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? -EINVAL : 0;
}
