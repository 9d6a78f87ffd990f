/* rules: settings of Kafka that do not go together, or that librdkafka would take and do something
 * else with than is meant: said by their names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/kafka_internal.h"

enum {
    PORT_MAX = 65535,
};

/* address:port; librdkafka passes over what it cannot read. */
static bool broker_is_good(struct span text)
{
    char word[KAFKA_WHERE_MAX], *end;
    if (text.len == 0 || text.len >= sizeof word)
        return false;
    memcpy(word, text.ptr, text.len);
    word[text.len] = '\0';
    const char *colon = strrchr(word, ':');
    if (!colon || colon == word || strcspn(word, " \t/@") != text.len)
        return false;
    long port = strtol(colon + 1, &end, 10);
    return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port > 0 && port <= PORT_MAX;
}

static bool brokers_are_good(const char *text)
{
    for (;; text++) {
        size_t len = strcspn(text, ",");
        if (!broker_is_good(span_of(text, len)))
            return false;
        text += len;
        if (*text == '\0')
            return true;
    }
}

/* Of two settings of which the first is nothing without the second. */
struct need {
    const char *name, *value;
    const char *needs;
    bool has;
};

static int needs_check(const struct settings *settings, char *why, size_t why_size)
{
    const bool sasl = settings->kafka_sasl[0] != '\0', tls = settings->kafka_tls;
    const struct need needs[] = {
        {"kafka_brokers", settings->kafka_brokers, "kafka_group, by which what was read is known",
         settings->kafka_group[0] != '\0'},
        {"kafka_sasl", settings->kafka_sasl, "kafka_user", settings->kafka_user[0] != '\0'},
        {"kafka_sasl", settings->kafka_sasl, "kafka_password", settings->kafka_password[0] != '\0'},
        {"kafka_user", settings->kafka_user, "kafka_sasl", sasl},
        {"kafka_password", settings->kafka_password, "kafka_sasl", sasl},
        {"kafka_authorities", settings->kafka_authorities, "kafka_tls = on", tls},
        {"kafka_certificate", settings->kafka_certificate, "kafka_tls = on", tls},
        {"kafka_certificate", settings->kafka_certificate, "kafka_certificate_key",
         settings->kafka_certificate_key[0] != '\0'},
        {"kafka_certificate_key", settings->kafka_certificate_key, "kafka_certificate",
         settings->kafka_certificate[0] != '\0'},
    };
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (needs[i].value[0] == '\0' || needs[i].has)
            continue;
        snprintf(why, why_size, "%s needs %s", needs[i].name, needs[i].needs);
        return -EINVAL;
    }
    return 0;
}

static int dead_letters_check(const struct settings *settings, const struct kafka_mapping *mapping,
                              char *why, size_t why_size)
{
    const char *topic = settings->kafka_dead_letters;
    if (topic[0] == '\0')
        return 0;
    if (!mapping_topic_is_good(span_from(topic)))
        snprintf(why, why_size, "kafka_dead_letters = %.200s: is no topic's name", topic);
    else if (mapping_of(mapping, topic))
        snprintf(why, why_size,
                 "kafka_dead_letters = %.200s: is among kafka_topics: what is refused would come "
                 "back for ever",
                 topic);
    else if (settings->kafka_refused == KAFKA_REFUSED_STOP)
        snprintf(why, why_size,
                 "kafka_dead_letters and kafka_refused = stop: a record that is refused goes "
                 "there, or stops its partition");
    else
        return 0;
    return -EINVAL;
}

int kafka_rules_check(const struct settings *settings, const struct kafka_mapping *mapping,
                      char *why, size_t why_size)
{
    if (!brokers_are_good(settings->kafka_brokers)) {
        snprintf(why, why_size,
                 "kafka_brokers = %.200s: needs addresses with ports, as 10.0.0.5:9092,"
                 "10.0.0.6:9092",
                 settings->kafka_brokers);
        return -EINVAL;
    }
    int err = needs_check(settings, why, why_size);
    return err < 0 ? err : dead_letters_check(settings, mapping, why, why_size);
}
