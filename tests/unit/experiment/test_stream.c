#include "experiment/stream.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_a_whole_stream(void **state)
{
    (void)state;
    char why[512];
    struct stream stream;
    struct load_group_config group = {.publish = &protocol_websocket, .poll_interval_ms = 500};
    assert_int_equal(
        stream_parse(&stream,
                     "name=chat  transport=poll subscribers=30 channels=3 "
                     "kinds=48x5,200x1 rate=4.5 poll-ms=2000 headers=browser state=yes",
                     why, sizeof why),
        0);
    assert_string_equal(stream.name, "chat");
    assert_int_equal(stream.transport, &protocol_poll);
    assert_int_equal(stream.subscribers, 30);
    assert_true(stream.rate_per_s == 4.5);
    stream_apply(&stream, &group);
    assert_int_equal(group.channels, 3);
    assert_int_equal(group.payload_bytes, 200);
    assert_int_equal(group.kind_count, 2);
    assert_int_equal(group.kinds[0].bytes, 48);
    assert_int_equal(group.kinds[0].parts, 5);
    assert_int_equal(group.publish, &protocol_post);
    assert_int_equal(group.poll_interval_ms, 2000);
    assert_true(group.since_start);
    assert_non_null(strstr(group.fields, "Cookie: "));
}

static void test_what_is_left_out(void **state)
{
    (void)state;
    char why[512];
    struct stream stream;
    struct load_group_config group = {.publish = &protocol_websocket, .poll_interval_ms = 500};
    assert_int_equal(stream_parse(&stream, "name=a", why, sizeof why), 0);
    stream_apply(&stream, &group);
    assert_int_equal(stream.transport, &protocol_websocket);
    assert_int_equal(group.channels, 0);
    assert_int_equal(group.payload_bytes, 128);
    assert_int_equal(group.publish, &protocol_websocket);
    assert_int_equal(group.poll_interval_ms, 500);
    assert_null(group.fields);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "a stream needs a name="},
        {"size=100", "a stream needs a name="},
        {"name=a fast", "'fast' is not of the form part=value"},
        {"name=a colour=red", "there is no 'colour' in a stream"},
        {"name=a size=33", "size=33: needs a whole number from 34"},
        {"name=a size=-1", "size=-1: needs a whole number"},
        {"name=a subscribers=many", "subscribers=many: needs a whole number"},
        {"name=a subscribers=5 channels=6", "a: 6 channels need at least as many subscribers"},
        {"name=a rate=0", "rate=0: needs a rate above 0"},
        {"name=a transport=pigeon", "transport=pigeon: there are poll, longpoll, sse"},
        {"name=a kinds=48", "kinds=48: needs up to 8 of BYTESxPARTS"},
        {"name=a kinds=48x5,20x1", "kinds=48x5,20x1: needs up to 8"},
        {"name=a kinds=48x60,50x60", "at most 64 parts together"},
        {"name=a headers=long", "headers=long: there are plain and browser"},
        {"name=a state=maybe", "state=maybe: there are no and yes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[512] = "";
        struct stream stream;
        assert_int_equal(stream_parse(&stream, rows[i].text, why, sizeof why), -EINVAL);
        if (!strstr(why, rows[i].reason))
            fail_msg("'%s' is not in '%s'", rows[i].reason, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_stream),
        cmocka_unit_test(test_what_is_left_out),
        cmocka_unit_test(test_what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
