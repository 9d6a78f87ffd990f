/* dead: records that are refused, where they go to a topic of their own: as they were, and with
 * fields that say where they came from and why. They count as under way until Kafka has them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka_internal.h"

static void header_add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    rd_kafka_header_add(headers, name, -1, value, -1);
}

static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *record, enum kafka_refusal refusal)
{
    rd_kafka_headers_t *before, *headers;
    char number[24];
    headers = rd_kafka_message_headers(record, &before) == RD_KAFKA_RESP_ERR_NO_ERROR
                  ? rd_kafka_headers_copy(before)
                  : rd_kafka_headers_new(4);
    header_add(headers, "ringside-refused", kafka_refusal_name(refusal));
    header_add(headers, "ringside-topic", rd_kafka_topic_name(record->rkt));
    snprintf(number, sizeof number, "%" PRId32, record->partition);
    header_add(headers, "ringside-partition", number);
    snprintf(number, sizeof number, "%" PRId64, record->offset);
    header_add(headers, "ringside-offset", number);
    return headers;
}

int kafka_bury(struct kafka *kafka, const rd_kafka_message_t *record, enum kafka_refusal refusal,
               const struct ticket *ticket)
{
    struct ticket *kept = malloc(sizeof *kept);
    if (!kept)
        return -ENOMEM;
    *kept = *ticket;
    rd_kafka_headers_t *headers = headers_of(record, refusal);
    rd_kafka_resp_err_t err = rd_kafka_producev(
        kafka->producer, RD_KAFKA_V_TOPIC(kafka->settings->kafka_dead_letters),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(record->key, record->key_len),
        RD_KAFKA_V_VALUE(record->payload, record->len), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(kept), RD_KAFKA_V_END);
    if (!err)
        return 0; /* its report has it: NOLINT(clang-analyzer-unix.Malloc) */
    rd_kafka_headers_destroy(headers);
    free(kept);
    kafka_complain(kafka, err, rd_kafka_err2str(err));
    return -ENOMEM;
}

static void take_reports(struct kafka *kafka, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event))) {
        struct ticket *ticket = message->_private;
        if (message->err)
            kafka_complain(kafka, message->err, rd_kafka_message_errstr(message));
        else
            kafka_count(&kafka->counters.dead_letters, 1);
        kafka_done(kafka, ticket, !message->err);
        free(ticket);
    }
}

void kafka_reports(struct kafka *kafka)
{
    rd_kafka_event_t *event;
    if (!kafka->producer)
        return;
    for (unsigned taken = 0;
         taken < KAFKA_EVENTS && (event = rd_kafka_queue_poll(kafka->reports, 0)); taken++) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            take_reports(kafka, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            kafka_complain(kafka, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
}
