/* kafka-mock: librdkafka's cluster for tests, as a program that others can connect to.
 *
 * It prints its addresses, and then reads orders, a line each, and says "ok" to each:
 *   topic NAME PARTITIONS    down BROKER    up BROKER    error API CODE    (the next such request)
 * It ends with its standard input. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 512,
    TOPIC_MAX_BYTES = 256,
};

/* Returns what librdkafka says of it. */
static rd_kafka_resp_err_t obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
    char topic[TOPIC_MAX_BYTES];
    int number, code;
    if (sscanf(line, "topic %255s %d", topic, &number) == 2)
        return rd_kafka_mock_topic_create(cluster, topic, number, 1);
    if (sscanf(line, "down %d", &number) == 1)
        return rd_kafka_mock_broker_set_down(cluster, number);
    if (sscanf(line, "up %d", &number) == 1)
        return rd_kafka_mock_broker_set_up(cluster, number);
    if (sscanf(line, "error %d %d", &number, &code) == 2) {
        rd_kafka_mock_push_request_errors(cluster, (int16_t)number, 1, (rd_kafka_resp_err_t)code);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

int main(void)
{
    char why[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_mock_cluster_t *cluster = client ? rd_kafka_mock_cluster_new(client, 1) : NULL;
    if (!cluster) {
        fprintf(stderr, "kafka-mock: %s\n", client ? "no cluster" : why);
        return 1;
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        rd_kafka_resp_err_t err = obey(cluster, line);
        printf("%s\n", err ? rd_kafka_err2name(err) : "ok");
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
