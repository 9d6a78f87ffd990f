/* A program that was built where librdkafka is not says so, and serves what does not need it. */
#include "conf/settings.h"
#include "kafka/kafka.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_refuses_by_name(void **state)
{
    (void)state;
    static struct settings settings;
    struct kafka *kafka = NULL;
    char why[512] = "";
    settings_default(&settings);
    assert_int_equal(kafka_create(&kafka, &settings, why, sizeof why), 0);
    assert_null(kafka);
    kafka_leave(NULL);
    kafka_end(NULL);
    kafka_free(NULL);
    settings_set(&settings, "kafka_brokers", "10.0.0.5:9092", why, sizeof why);
    assert_int_equal(kafka_create(&kafka, &settings, why, sizeof why), -ENOTSUP);
    assert_non_null(strstr(why, "kafka_brokers = 10.0.0.5:9092"));
    assert_non_null(strstr(why, "librdkafka-dev"));
    assert_non_null(strstr(kafka_library(), "no librdkafka"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refuses_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
