/* absent: a program that was built where librdkafka is not. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "conf/settings.h"
#include "kafka/kafka.h"

const char *kafka_library(void)
{
    return "no librdkafka: kafka_brokers cannot be set";
}

int kafka_create(struct kafka **ret, const struct settings *settings, char *why, size_t why_size)
{
    *ret = NULL;
    if (settings->kafka_brokers[0] == '\0')
        return 0;
    snprintf(why, why_size,
             "kafka_brokers = %.200s: this program was built without librdkafka; build it where "
             "librdkafka-dev is installed",
             settings->kafka_brokers);
    return -ENOTSUP;
}

int kafka_check(const struct settings *settings, char *why, size_t why_size)
{
    struct kafka *none;
    return kafka_create(&none, settings, why, why_size);
}

int kafka_start(struct kafka *kafka, struct hub_set *set, unsigned which,
                const struct kafka_waker *waker)
{
    (void)kafka;
    (void)set;
    (void)which;
    (void)waker;
    assert(!"there is none");
    return -ENOTSUP;
}

void kafka_told(struct kafka *kafka, const struct ticket *ticket, int err)
{
    (void)kafka;
    (void)ticket;
    (void)err;
    assert(!"there is none");
}

void kafka_leave(struct kafka *kafka)
{
    assert(!kafka);
}

void kafka_end(struct kafka *kafka)
{
    assert(!kafka);
}

void kafka_free(struct kafka *kafka)
{
    assert(!kafka);
}

const char *kafka_where(const struct kafka *kafka)
{
    (void)kafka;
    return "";
}

void kafka_stats_each(const struct kafka *kafka,
                      void (*row)(void *context, const struct kafka_row *row), void *context)
{
    (void)kafka;
    (void)row;
    (void)context;
}
