/* Lines of the log: what a reader of JSON and one of logfmt take them for. */
#include "conn/log_line.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define AT INT64_C(1764576000123456789) /* 2025-12-01T08:00:00.123Z */

static struct in6_addr address(const char *text)
{
    struct in6_addr ret;
    assert_int_equal(inet_pton(AF_INET6, text, &ret), 1);
    return ret;
}

static void expect(enum log_format format, const struct log_record *record, const char *line)
{
    char buf[LOG_LINE_MAX];
    size_t len = log_line(buf, format, record);
    assert_int_equal(len, strlen(line));
    assert_memory_equal(buf, line, len);
}

static struct log_record refused(void)
{
    return (struct log_record){
        .at_ns = AT,
        .event = LOG_REFUSED,
        .shard = 1,
        .slot = 17,
        .generation = 3,
        .status = 404,
        .client = address("::ffff:192.0.2.7"),
        .port = "plain",
        .transport = "http",
        .reason = "not_found",
        .request = {.id_len = 3, .id = "a-1", .path_len = 5, .path = "/none"},
    };
}

static void test_refused(void **state)
{
    (void)state;
    struct log_record record = refused();
    expect(LOG_LOGFMT, &record,
           "time=2025-12-01T08:00:00.123Z event=refused conn=1.17.3 client=192.0.2.7 port=plain "
           "transport=http reason=not_found status=404 path=/none request=a-1\n");
    expect(LOG_JSON, &record,
           "{\"time\":\"2025-12-01T08:00:00.123Z\",\"event\":\"refused\",\"conn\":\"1.17.3\","
           "\"client\":\"192.0.2.7\",\"port\":\"plain\",\"transport\":\"http\","
           "\"reason\":\"not_found\",\"status\":404,\"path\":\"/none\",\"request\":\"a-1\"}\n");
}

/* What a client chose for its id cannot end the value, or begin another line. */
static void test_hostile_texts(void **state)
{
    (void)state;
    struct log_record record = refused();
    memcpy(record.request.id, "a\"=", 3);
    memcpy(record.request.path, "/=\\\"x", 5);
    expect(LOG_LOGFMT, &record,
           "time=2025-12-01T08:00:00.123Z event=refused conn=1.17.3 client=192.0.2.7 port=plain "
           "transport=http reason=not_found status=404 path=\"/=\\\\\\\"x\" request=\"a\\\"=\"\n");
}

static void test_stream_of_ipv6(void **state)
{
    (void)state;
    struct log_record record = {
        .at_ns = AT,
        .event = LOG_CLOSED,
        .is_stream = true,
        .client = address("2001:db8::7"),
        .port = "tls",
        .transport = "sse",
        .reason = "stalled",
    };
    expect(LOG_LOGFMT, &record,
           "time=2025-12-01T08:00:00.123Z event=closed conn=0.0.0 client=2001:db8::7 port=tls "
           "transport=sse stream=1 reason=stalled\n");
    record.client = in6addr_any;
    expect(LOG_LOGFMT, &record,
           "time=2025-12-01T08:00:00.123Z event=closed conn=0.0.0 port=tls transport=sse stream=1 "
           "reason=stalled\n");
}

static void test_server(void **state)
{
    (void)state;
    struct log_record record = {.at_ns = AT, .event = LOG_RELOAD, .text = "no file"};
    expect(LOG_LOGFMT, &record, "time=2025-12-01T08:00:00.123Z event=reload text=\"no file\"\n");
    record = (struct log_record){.at_ns = AT, .event = LOG_SUPPRESSED, .suppressed = 7, .lost = 1};
    expect(LOG_JSON, &record,
           "{\"time\":\"2025-12-01T08:00:00.123Z\",\"event\":\"suppressed\",\"suppressed\":7,"
           "\"lost\":1}\n");
}

/* The longest of everything, each byte of which is escaped. */
static void test_longest(void **state)
{
    (void)state;
    char buf[LOG_LINE_MAX];
    struct log_record record = refused();
    record.is_stream = true;
    record.shard = UINT16_MAX;
    record.slot = record.generation = UINT32_MAX;
    record.client = address("1111:2222:3333:4444:5555:6666:7777:8888");
    record.request.id_len = LOG_ID_MAX;
    record.request.path_len = LOG_PATH_MAX;
    memset(record.request.id, 1, LOG_ID_MAX);
    memset(record.request.path, 1, LOG_PATH_MAX);
    assert_in_range(log_line(buf, LOG_JSON, &record), 1, LOG_LINE_MAX);
    record = (struct log_record){.event = LOG_RELOAD};
    memset(record.text, 1, LOG_TEXT_MAX - 1);
    assert_in_range(log_line(buf, LOG_JSON, &record), 1, LOG_LINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_stream_of_ipv6), cmocka_unit_test(test_server),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
