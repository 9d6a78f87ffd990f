#include "broker/encoding.h"
#include "broker/nats_encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void assert_subject(const char *name, const char *subject)
{
    char written[NATS_SUBJECT_MAX], read[NATS_NAME_MAX];
    assert_int_equal(nats_subject_write(written, "p", NATS_HEARD, span_from(name)),
                     strlen(subject));
    assert_string_equal(written, subject);
    assert_int_equal(nats_subject_read(read, "p", NATS_HEARD, span_from(subject)), strlen(name));
    assert_memory_equal(read, name, strlen(name));
}

static void test_a_name_is_one_token(void **state)
{
    (void)state;
    assert_subject("news", "p.r.news");
    assert_subject("a-b_C9", "p.r.a-b_C9");
    assert_subject("news:sport.x/y@z", "p.r.news%3Asport%2Ex%2Fy%40z");
}

static void test_other_subjects_are_nobodys(void **state)
{
    static const char *const subjects[] = {
        "",          "p",      "p.r.",   "p.s.news", "q.r.news",   "p.r.a.b",
        "p.r.a b",   "p.r.%",  "p.r.%3", "p.r.%3a",  "p.r.%6Eews", "p.r.%00",
        "p.r.a%20b", "p.r.a*", "p.r.>",  "p.r.a%2",  "pr.r.news",  "p.r%2Enews",
    };
    char name[NATS_NAME_MAX], text[NATS_SUBJECT_MAX + 64] = "p.r.";
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        assert_int_equal(nats_subject_read(name, "p", NATS_HEARD, span_from(subjects[i])), 0);
    memset(text + 4, 'a', NATS_NAME_MAX + 1);
    assert_int_equal(nats_subject_read(name, "p", NATS_HEARD, span_of(text, 4 + NATS_NAME_MAX)),
                     NATS_NAME_MAX);
    assert_int_equal(nats_subject_read(name, "p", NATS_HEARD, span_of(text, 4 + NATS_NAME_MAX + 1)),
                     0);
}

static void test_items_follow_a_head(void **state)
{
    const struct nats_batch batch = {0xfedcba9876543210, 0xff, 43, {0}};
    char bytes[128];
    struct nats_batch read;
    struct span item;
    (void)state;
    size_t len = nats_batch_write(bytes, &batch);
    encoding_item_write(bytes + len, 3);
    memcpy(bytes + len + ENCODING_ITEM_HEAD, "onetwo", 6);
    assert_int_equal(nats_batch_read(&read, span_of(bytes, len + ENCODING_ITEM_HEAD + 3)), 0);
    assert_true(read.run == batch.run && read.epoch == 0xff && read.offset == 43);
    assert_int_equal(encoding_item_next(&read.items, &item), 1);
    assert_true(span_equal(item, span_from("one")));
    assert_int_equal(encoding_item_next(&read.items, &item), 0);
    assert_int_equal(nats_batch_read(&read, span_of(bytes, len + ENCODING_ITEM_HEAD + 2)), 0);
    assert_int_equal(encoding_item_next(&read.items, &item), -EINVAL);
}

static void test_heads_that_are_none(void **state)
{
    static const char *const heads[] = {
        "",
        "\n",
        "fedcba9876543210 0123456789abcdef 43",
        "fedcba9876543210 0123456789abcdef \n",
        "fedcba9876543210 0123456789abcdef x\n",
        "0000000000000000 0123456789abcdef 4\n",
        "fedcba9876543210 0000000000000000 4\n",
        "fedcba9876543210_0123456789abcdef 4\n",
        "fedcba987654321 00123456789abcdef 4\n",
        "fedcba9876543210 0123456789abcdef 99999999999999999999999999\n",
    };
    struct nats_batch read;
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        assert_int_equal(nats_batch_read(&read, span_from(heads[i])), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_one_token),
        cmocka_unit_test(test_other_subjects_are_nobodys),
        cmocka_unit_test(test_items_follow_a_head),
        cmocka_unit_test(test_heads_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
