#include <errno.h>

#include "feed.h"
#include "wire/base64.h"
#include "wire_test.h"

/* RFC 4648 section 10, and the two characters that differ from base64url. */
static const struct {
    struct span bytes, text;
} pairs[] = {
    {SPAN_INIT(""), SPAN_INIT("")},
    {SPAN_INIT("f"), SPAN_INIT("Zg==")},
    {SPAN_INIT("fo"), SPAN_INIT("Zm8=")},
    {SPAN_INIT("foo"), SPAN_INIT("Zm9v")},
    {SPAN_INIT("foob"), SPAN_INIT("Zm9vYg==")},
    {SPAN_INIT("fooba"), SPAN_INIT("Zm9vYmE=")},
    {SPAN_INIT("foobar"), SPAN_INIT("Zm9vYmFy")},
    {SPAN_INIT("\xfb\xef\xff"), SPAN_INIT("++//")},
    {SPAN_INIT("\0\0\0"), SPAN_INIT("AAAA")},
};

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char buf[16];
        assert_int_equal(BASE64_SIZE(pairs[i].bytes.len), pairs[i].text.len);
        assert_int_equal(base64_encode(buf, pairs[i].bytes), pairs[i].text.len);
        assert_span(span_of(buf, pairs[i].text.len), pairs[i].text);
        int len = base64_decode(buf, pairs[i].bytes.len, pairs[i].text);
        assert_int_equal(len, pairs[i].bytes.len);
        assert_span(span_of(buf, (size_t)len), pairs[i].bytes);
        if (len > 0)
            assert_int_equal(base64_decode(buf, (size_t)len - 1, pairs[i].text), -ENOBUFS);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct span table[] = {
        SPAN_INIT("Z"),
        SPAN_INIT("Zg"),
        SPAN_INIT("Zg="),
        SPAN_INIT("Zm9vY"),
        SPAN_INIT("===="),
        SPAN_INIT("Z==="),
        SPAN_INIT("Zh=="),
        SPAN_INIT("Zm9="),
        SPAN_INIT("Zg==Zg=="),
        SPAN_INIT("Z=g="),
        SPAN_INIT("Zm9v\n"),
        SPAN_INIT(" Zm9"),
        SPAN_INIT("Zm-_"),
        SPAN_INIT("Zm9v===="),
        SPAN_INIT("Zm\09"),
        SPAN_INIT("Zm9\x80"),
        SPAN_INIT("=m9v"),
        SPAN_INIT("Zg=v"),
        SPAN_INIT("Zg==\0\0\0\0"),
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char buf[16];
        assert_int_equal(base64_decode(buf, sizeof buf, table[i]), -EINVAL);
    }
}

static void test_random_round_trips(void **state)
{
    (void)state;
    uint64_t seed = 64;
    for (size_t len = 0; len < 100; len++) {
        char bytes[100], text[BASE64_SIZE(100)], back[100];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)random_next(&seed);
        size_t size = base64_encode(text, span_of(bytes, len));
        assert_int_equal(base64_decode(back, sizeof back, span_of(text, size)), len);
        assert_span(span_of(back, len), span_of(bytes, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
