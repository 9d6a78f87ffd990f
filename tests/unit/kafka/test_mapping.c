#include "kafka/mapping.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "conf/settings.h"

static struct settings settings;
static struct kafka_mapping mapping;
static char why[512];

static int read_topics(const char *topics, const char *tags)
{
    settings_default(&settings);
    snprintf(settings.kafka_topics, sizeof settings.kafka_topics, "%s", topics);
    snprintf(settings.kafka_tags, sizeof settings.kafka_tags, "%s", tags);
    settings.message_bytes_max = 100;
    return mapping_read(&mapping, &settings, why, sizeof why);
}

static const struct kafka_header headers[] = {
    {SPAN_INIT("room"), SPAN_INIT("first")},
    {SPAN_INIT("room"), SPAN_INIT("blue")},
    {SPAN_INIT("empty"), SPAN_INIT("")},
    {SPAN_INIT("bytes"), SPAN_INIT("\xff")},
};

static struct kafka_record record_of(const char *topic, struct span key)
{
    return (struct kafka_record){
        .topic = span_from(topic),
        .partition = 7,
        .offset = 1,
        .key = key,
        .value = SPAN("x"),
        .headers = headers,
        .headers_count = sizeof headers / sizeof headers[0],
    };
}

static void expect(const char *template, struct span key, enum kafka_refusal refusal,
                   const char *channel)
{
    char topics[300];
    struct kafka_draft draft;
    snprintf(topics, sizeof topics, "t=%s", template);
    assert_int_equal(read_topics(topics, ""), 0);
    const struct kafka_record record = record_of("t", key);
    assert_int_equal(mapping_draft(&draft, &mapping, mapping_of(&mapping, "t"), &record), refusal);
    if (refusal == KAFKA_TAKEN)
        assert_true(span_equal(span_of(draft.channel, draft.channel_len), span_from(channel)));
    mapping_done(&mapping);
}

static void test_channels(void **state)
{
    (void)state;
    expect("{topic}", SPAN("k"), KAFKA_TAKEN, "t");
    expect("a:{key}/{partition}", SPAN("k"), KAFKA_TAKEN, "a:k/7");
    expect("{header:room}", SPAN("k"), KAFKA_TAKEN, "blue");
    expect("{key}", (struct span){0}, KAFKA_NO_CHANNEL, NULL);
    expect("{key}", SPAN(""), KAFKA_NO_CHANNEL, NULL);
    expect("x{header:none}", SPAN("k"), KAFKA_NO_CHANNEL, NULL);
    expect("x{header:empty}", SPAN("k"), KAFKA_NO_CHANNEL, NULL);
    expect("{header:bytes}", SPAN("k"), KAFKA_BAD_CHANNEL, NULL);
    expect("{key}", SPAN("a b"), KAFKA_BAD_CHANNEL, NULL);
    expect("{key}", SPAN("a\0b"), KAFKA_BAD_CHANNEL, NULL);
    char longest[CHANNEL_NAME_MAX + 2];
    memset(longest, 'k', sizeof longest - 1);
    longest[CHANNEL_NAME_MAX] = '\0';
    expect("{key}", span_of(longest, CHANNEL_NAME_MAX), KAFKA_TAKEN, longest);
    expect("{key}", span_of(longest, CHANNEL_NAME_MAX + 1), KAFKA_BAD_CHANNEL, NULL);
}

static void test_topics(void **state)
{
    (void)state;
    assert_int_equal(read_topics("^a.*=p a=one ^.*=rest  b", ""), 0);
    assert_int_equal(mapping.count, 4);
    assert_ptr_equal(mapping_of(&mapping, "a"), &mapping.topics[1].template);
    assert_ptr_equal(mapping_of(&mapping, "ab"), &mapping.topics[0].template);
    assert_ptr_equal(mapping_of(&mapping, "c"), &mapping.topics[2].template);
    assert_ptr_equal(mapping_of(&mapping, "b"), &mapping.topics[3].template);
    mapping_done(&mapping);
    assert_int_equal(read_topics("a", ""), 0);
    assert_null(mapping_of(&mapping, "b"));
    mapping_done(&mapping);
    static const char *const bad[] = {
        "",        "a=",      "a={",        "a={}",       "a={key",
        "a=b c=}", "a= b",    "=x",         "^[=x",       "^a++++++++++=x",
        "^a{9}=x", "^a.**=x", "a=\xc3\xa4", "a={header:}"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(read_topics(bad[i], "") < 0);
}

static void expect_tags(const char *tags, enum kafka_refusal refusal, const char *more)
{
    struct kafka_draft draft;
    assert_int_equal(read_topics("t", tags), 0);
    struct kafka_record record = record_of("t", SPAN("k"));
    if (tags[0] == '*')
        record.headers_count--;
    assert_int_equal(mapping_draft(&draft, &mapping, mapping_of(&mapping, "t"), &record), refusal);
    if (refusal == KAFKA_TAKEN)
        assert_true(span_equal(span_of(draft.more, draft.more_len), span_from(more)));
    mapping_done(&mapping);
}

static void test_tags(void **state)
{
    (void)state;
    expect_tags("", KAFKA_TAKEN, "");
    expect_tags("none", KAFKA_TAKEN, "");
    expect_tags("room none empty", KAFKA_TAKEN, ",\"tags\":{\"room\":\"blue\",\"empty\":\"\"}");
    expect_tags("*", KAFKA_TAKEN, ",\"tags\":{\"room\":\"blue\",\"empty\":\"\"}");
    expect_tags("bytes", KAFKA_BAD_TAGS, NULL);
}

static void test_values_and_keys(void **state)
{
    (void)state;
    static const char large[101];
    struct kafka_draft draft;
    char key[KAFKA_KEY_BYTES], other[KAFKA_KEY_BYTES];
    assert_int_equal(read_topics("t", ""), 0);
    const struct kafka_template *template = mapping_of(&mapping, "t");
    struct kafka_record record = record_of("t", SPAN("k"));
    record.value = span_of(large, 100);
    assert_int_equal(mapping_draft(&draft, &mapping, template, &record), KAFKA_TAKEN);
    record.value = span_of(large, 101);
    assert_int_equal(mapping_draft(&draft, &mapping, template, &record), KAFKA_TOO_LARGE);
    record.value = (struct span){0};
    assert_int_equal(mapping_draft(&draft, &mapping, template, &record), KAFKA_NO_VALUE);
    record.value = SPAN("");
    assert_int_equal(mapping_draft(&draft, &mapping, template, &record), KAFKA_TAKEN);
    size_t len = mapping_key(key, &record);
    assert_int_equal(mapping_key(other, &record), len);
    assert_memory_equal(key, other, len);
    record.offset++;
    assert_true(mapping_key(other, &record) == len && memcmp(key, other, len) != 0);
    mapping_done(&mapping);
}

/* Which names could have been made of records that nobody has seen. */
static void expect_glob(const char *template, const char *name, bool has)
{
    char topics[300], glob[KAFKA_GLOB_BYTES];
    snprintf(topics, sizeof topics, "t=%s", template);
    assert_int_equal(read_topics(topics, ""), 0);
    mapping_glob(glob, mapping_of(&mapping, "t"), "t", 7);
    assert_true(mapping_glob_has(glob, span_from(name)) == has);
    mapping_done(&mapping);
}

static void test_globs(void **state)
{
    (void)state;
    expect_glob("a:{topic}/{partition}", "a:t/7", true);
    expect_glob("a:{topic}/{partition}", "a:t/77", false);
    expect_glob("a:{topic}/{partition}", "a:t/", false);
    expect_glob("{key}", "a", true);
    expect_glob("{key}", "", false);
    expect_glob("a{key}", "a", false);
    expect_glob("{key}a", "a", false);
    expect_glob("{key}a", "aa", true);
    expect_glob("{key}{header:x}", "a", false);
    expect_glob("{key}{header:x}", "ab", true);
    expect_glob("{key}ab{header:x}ab", "xabxaab", true);
    expect_glob("{key}ab{header:x}ab", "xabab", false);
    expect_glob("{key}ab{header:x}ab", "xabababc", false);
    expect_glob("o:{key}", "orders:1", false);
    assert_int_equal(read_topics("t={key}x", ""), 0);
    char glob[KAFKA_GLOB_BYTES];
    mapping_glob(glob, mapping_of(&mapping, "t"), "t", 7);
    assert_false(mapping_glob_has(glob, SPAN("ax\0\0"))); /* no name, but no end of the glob */
    mapping_done(&mapping);
    char longest[4 * CHANNEL_NAME_MAX + 16] = "";
    for (unsigned i = 0; i < 4; i++)
        memset(longest + strlen(longest), 'a', CHANNEL_NAME_MAX - 1);
    expect_glob(longest + 3 * (CHANNEL_NAME_MAX - 1), longest, false);
}

/* Whatever a template makes of a record is among what it may make: each name is asked of the draft,
 * and of the glob. */
static void expect_fed(const char *template, const char *topic, int32_t partition, const char *key)
{
    char topics[1200], glob[KAFKA_GLOB_BYTES];
    struct kafka_draft draft;
    struct kafka_record record = record_of(topic, span_from(key));
    record.partition = partition;
    snprintf(topics, sizeof topics, "^.*=%s", template);
    assert_int_equal(read_topics(topics, ""), 0);
    const struct kafka_template *read = mapping_of(&mapping, topic);
    assert_int_equal(mapping_draft(&draft, &mapping, read, &record), KAFKA_TAKEN);
    mapping_glob(glob, read, topic, partition);
    assert_true(mapping_glob_has(glob, span_of(draft.channel, draft.channel_len)));
    mapping_done(&mapping);
}

static void test_what_is_made_is_in_the_glob(void **state)
{
    static const char *const templates[] = {
        "x",
        "{topic}",
        "{partition}",
        "{key}",
        "{header:room}",
        "{topic}{partition}{key}{header:room}",
        "{header:room}{key}{partition}{topic}",
        "a{key}a{key}a",
        "{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}{key}",
        "user:{topic}.{partition}/{key}@{header:room},#",
    };
    static const char *const keys[] = {"a", "aa", "aaa", "7", "t", "a/a:a", "-_.:/@#,"};
    (void)state;
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            expect_fed(templates[i], "t", 0, keys[k]);
            expect_fed(templates[i], "a.a_a-a", INT32_MAX, keys[k]);
        }
    }
    char longest[CHANNEL_NAME_MAX + 1] = "";
    memset(longest, 'k', CHANNEL_NAME_MAX);
    expect_fed("{key}", "t", 0, longest);
    expect_fed("{topic}", longest, 0, "k");
    expect_fed(longest, "t", 0, "k");
}

/* What means something in globs elsewhere is in no name, so it is in no glob either; and a topic
 * that Kafka would not have, with a * in it, makes the glob wider, not narrower. */
static void test_signs_of_globs(void **state)
{
    static const char *const signs[] = {"*", "?", "[", "]", "\\", "a*b", "[a-z]", "\\*"};
    (void)state;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        char topics[64];
        snprintf(topics, sizeof topics, "t={key}%s", signs[i]);
        assert_int_equal(read_topics(topics, ""), -EINVAL);
        expect("{key}", span_from(signs[i]), KAFKA_BAD_CHANNEL, NULL);
    }
    char glob[KAFKA_GLOB_BYTES];
    assert_int_equal(read_topics("^.*={topic}/{key}", ""), 0);
    mapping_glob(glob, mapping_of(&mapping, "a*b"), "a*b", 0);
    assert_true(mapping_glob_has(glob, SPAN("a*b/k")) && mapping_glob_has(glob, SPAN("axb/k")));
    mapping_done(&mapping);
}

/* It has room for what makes a name, and is of none where it has not: three topics of the longest
 * names are longer than it. */
static void test_a_glob_that_has_no_room(void **state)
{
    char topic[KAFKA_TOPIC_MAX + 1] = "", glob[KAFKA_GLOB_BYTES];
    (void)state;
    memset(topic, 't', KAFKA_TOPIC_MAX);
    assert_int_equal(read_topics("^t*={topic}/{topic}/{topic}", ""), 0);
    mapping_glob(glob, mapping_of(&mapping, topic), topic, 0);
    assert_string_equal(glob, "");
    assert_false(mapping_glob_has(glob, span_from(topic)));
    mapping_done(&mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels),        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_globs),           cmocka_unit_test(test_tags),
        cmocka_unit_test(test_values_and_keys), cmocka_unit_test(test_what_is_made_is_in_the_glob),
        cmocka_unit_test(test_signs_of_globs),  cmocka_unit_test(test_a_glob_that_has_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
