/* trouble: what librdkafka complains of, as lines for people: one of a kind in a minute. */
#include <stdio.h>
#include <string.h>

#include "kafka/kafka_internal.h"

#define SAY_AGAIN_NS (60 * KAFKA_SECOND_NS)

static enum kafka_trouble kind_of(rd_kafka_resp_err_t err)
{
    switch ((int)err) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
        return KAFKA_TROUBLE_CONNECTION;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return KAFKA_TROUBLE_AUTHENTICATION;
    case RD_KAFKA_RESP_ERR__SSL:
        return KAFKA_TROUBLE_TLS;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return KAFKA_TROUBLE_TOPIC;
    default:
        return KAFKA_TROUBLE_OTHER;
    }
}

/* Before the thread is there: what is most telling is kept, not said. "All brokers are down" is
 * what follows from it. */
static void keep(struct kafka *kafka, enum kafka_trouble kind, rd_kafka_resp_err_t err,
                 const char *text)
{
    if (kafka->trouble[0] != '\0' &&
        (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || kind == KAFKA_TROUBLE_CONNECTION))
        return;
    snprintf(kafka->trouble, sizeof kafka->trouble, "%s", text);
    kafka->trouble_kind = kind;
}

void kafka_complain(struct kafka *kafka, rd_kafka_resp_err_t err, const char *text)
{
    enum kafka_trouble kind = kind_of(err);
    kafka_count(&kafka->counters.troubles[kind], 1);
    if (!kafka->started) {
        keep(kafka, kind, err, text);
        return;
    }
    int64_t said_ns = kafka->said_ns[kind];
    if (said_ns != 0 && kafka->now_ns - said_ns < SAY_AGAIN_NS)
        return;
    kafka->said_ns[kind] = kafka->now_ns;
    fprintf(stderr, "ringside-server: kafka: %s\n", text);
}
