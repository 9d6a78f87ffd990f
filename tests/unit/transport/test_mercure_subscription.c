#include <stdio.h>
#include <stdlib.h>

#include "transport/mercure_subscription.h"
#include "wire_test.h"

static void test_subscriber(void **state)
{
    (void)state;
    const unsigned char random[16] = {0xbb, 0x3d, 0xe2, 0x68, 0x05, 0xb0, 0xfc, 0x65,
                                      0xf4, 0x4e, 0x8f, 0x9a, 0xce, 0xfc, 0x29, 0xd6};
    char text[MERCURE_SUBSCRIBER_LEN];
    mercure_subscriber_write(text, random);
    assert_span(span_of(text, sizeof text), SPAN("urn:uuid:bb3de268-05b0-4c65-b44e-8f9acefc29d6"));
}

static void test_id_has_each_value_encoded_once(void **state)
{
    (void)state;
    char id[MERCURE_SUBSCRIPTION_ID_MAX];
    const struct mercure_subscription subscription = {
        .topic = SPAN("https://example.com/{a}%20~b_c-d.e"), .subscriber = SPAN("urn:uuid:1")};
    size_t len = mercure_subscription_id_write(id, &subscription);
    assert_span(span_of(id, len),
                SPAN("/.well-known/mercure/subscriptions/"
                     "https%3A%2F%2Fexample.com%2F%7Ba%7D%2520~b_c-d.e/urn%3Auuid%3A1"));
}

static void test_longest_id(void **state)
{
    (void)state;
    char id[MERCURE_SUBSCRIPTION_ID_MAX], topic[TOPIC_BYTES_MAX];
    char subscriber[MERCURE_SUBSCRIBER_LEN];
    memset(topic, '{', sizeof topic);
    memset(subscriber, ':', sizeof subscriber);
    const struct mercure_subscription subscription = {
        .topic = {topic, sizeof topic}, .subscriber = {subscriber, sizeof subscriber}};
    size_t len = mercure_subscription_id_write(id, &subscription);
    assert_true(len <= MERCURE_SUBSCRIPTION_ID_MAX);
    assert_true(
        topic_matches(SPAN("/.well-known/mercure/subscriptions/{t}/{s}"), span_of(id, len)));
}

static void test_document(void **state)
{
    (void)state;
    const struct mercure_subscription subscription = {.topic = SPAN("a\"b"),
                                                      .subscriber = SPAN("urn:uuid:1"),
                                                      .payload = SPAN("{\"n\":1}"),
                                                      .active = true};
    char text[1024];
    struct out out = out_begin(text, sizeof text);
    mercure_subscription_write(&out, &subscription, true, SPAN("5f3a.17"));
    assert_span(span_of(text, (size_t)out_end(&out)),
                SPAN("{\"@context\":\"https://mercure.rocks/\",\"id\":"
                     "\"/.well-known/mercure/subscriptions/a%22b/urn%3Auuid%3A1\","
                     "\"type\":\"Subscription\",\"topic\":\"a\\\"b\",\"subscriber\":\"urn:uuid:1\","
                     "\"active\":true,\"payload\":{\"n\":1},\"lastEventID\":\"5f3a.17\"}"));
}

/* The room that is said is enough, whatever the values: those that grow most. */
static void test_size(void **state)
{
    (void)state;
    char topic[TOPIC_BYTES_MAX], subscriber[MERCURE_SUBSCRIBER_LEN], last[255];
    memset(topic, 1, sizeof topic);
    memset(subscriber, ':', sizeof subscriber);
    memset(last, 1, sizeof last);
    const struct mercure_subscription subscription = {.topic = {topic, sizeof topic},
                                                      .subscriber = {subscriber, sizeof subscriber},
                                                      .payload = SPAN("null")};
    size_t size = mercure_subscription_size(&subscription, span_of(last, sizeof last));
    char *text = malloc(size);
    struct out out = out_begin(text, size);
    mercure_subscription_write(&out, &subscription, true, span_of(last, sizeof last));
    assert_true(out_end(&out) > 0);
    free(text);
}

struct row {
    const char *path;
    int found;
    unsigned parts;
    const char *topic, *subscriber;
};

static void test_paths(void **state)
{
    (void)state;
    static const struct row table[] = {
        {"", 1, 0, "", ""},           {"/a", 1, 1, "a", ""},
        {"/a%2Fb", 1, 1, "a/b", ""},  {"/a%2fb/c%25", 1, 2, "a/b", "c%"},
        {"/a+b/c", 1, 2, "a+b", "c"}, {"/%2525", 1, 1, "%25", ""},
        {"/", 0, 0, "", ""},          {"//b", 0, 0, "", ""},
        {"/a/", 0, 1, "a", ""},       {"/a/b/", 0, 2, "a", "b"},
        {"/a/b/c", 0, 2, "a", "b"},   {"x", 0, 0, "", ""},
        {"/%", -1, 0, "", ""},        {"/%4", -1, 0, "", ""},
        {"/a%4/b", -1, 0, "a", ""},   {"/%g0", -1, 0, "", ""},
        {"/%0g", -1, 0, "", ""},      {"/a/%", -1, 1, "a", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char path[128], scratch[128];
        struct mercure_path read;
        int len = snprintf(path, sizeof path, MERCURE_SUBSCRIPTIONS "%s", table[i].path);
        assert_int_equal(mercure_path_read(&read, span_of(path, (size_t)len), scratch),
                         table[i].found);
        if (table[i].found < 0)
            continue;
        assert_int_equal(read.parts, table[i].parts);
        assert_span(read.topic, span_from(table[i].topic));
        assert_span(read.subscriber, span_from(table[i].subscriber));
    }
}

static void test_reserved(void **state)
{
    (void)state;
    assert_true(mercure_topic_is_reserved(SPAN("/.well-known/mercure/subscriptions/a/b")));
    assert_true(mercure_topic_is_reserved(SPAN("/.well-known/mercure/")));
    assert_false(mercure_topic_is_reserved(SPAN("/.well-known/mercure")));
    assert_false(mercure_topic_is_reserved(SPAN("/.well-known/mercury/a")));
    assert_false(mercure_topic_is_reserved(SPAN("a/.well-known/mercure/a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscriber), cmocka_unit_test(test_id_has_each_value_encoded_once),
        cmocka_unit_test(test_longest_id), cmocka_unit_test(test_document),
        cmocka_unit_test(test_size),       cmocka_unit_test(test_paths),
        cmocka_unit_test(test_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
