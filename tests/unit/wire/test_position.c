#include <errno.h>

#include "wire/position.h"
#include "wire_test.h"

#define PLACES_MAX 3

static const struct {
    const char *token;
    size_t count;
    struct position places[PLACES_MAX];
} good[] = {
    {"1.0", 1, {{1, 0}}},
    {"5f3a.17", 1, {{0x5f3a, 17}}},
    {"ffffffffffffffff.18446744073709551615", 1, {{UINT64_MAX, UINT64_MAX}}},
    {"a.1~b.2~c.10", 3, {{10, 1}, {11, 2}, {12, 10}}},
    {"1.0~1.0", 2, {{1, 0}, {1, 0}}},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct position places[PLACES_MAX];
        char buf[POSITION_TOKEN_MAX(PLACES_MAX)];
        struct span token = span_from(good[i].token);
        assert_int_equal(position_parse(places, PLACES_MAX, token), good[i].count);
        for (size_t k = 0; k < good[i].count; k++) {
            assert_int_equal(places[k].epoch, good[i].places[k].epoch);
            assert_int_equal(places[k].offset, good[i].places[k].offset);
        }
        assert_int_equal(position_size(places, good[i].count), token.len);
        assert_int_equal(position_write(buf, places, good[i].count), token.len);
        assert_span(span_of(buf, token.len), token);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct span table[] = {
        SPAN_INIT(""),
        SPAN_INIT("1"),
        SPAN_INIT("1."),
        SPAN_INIT(".1"),
        SPAN_INIT("."),
        SPAN_INIT("~"),
        SPAN_INIT("0.1"),
        SPAN_INIT("01.1"),
        SPAN_INIT("1.01"),
        SPAN_INIT("1.00"),
        SPAN_INIT("A.1"),
        SPAN_INIT("0x1.1"),
        SPAN_INIT("1.a"),
        SPAN_INIT("1.1~"),
        SPAN_INIT("~1.1"),
        SPAN_INIT("1.1~~1.1"),
        SPAN_INIT("1.1 "),
        SPAN_INIT(" 1.1"),
        SPAN_INIT("1.1,1.1"),
        SPAN_INIT("1.-1"),
        SPAN_INIT("1.+1"),
        SPAN_INIT("g.1"),
        SPAN_INIT("1.1\0"),
        SPAN_INIT("1..1"),
        SPAN_INIT("1.1.1"),
        SPAN_INIT("1:1"),
        SPAN_INIT("1.1~0.1"),
        SPAN_INIT("-1.1"),
        SPAN_INIT("1.18446744073709551616"),
        SPAN_INIT("1.99999999999999999999"),
        SPAN_INIT("1.100000000000000000000"),
        SPAN_INIT("10000000000000000.1"),
        SPAN_INIT("ffffffffffffffffffffffffffff"),
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct position places[PLACES_MAX];
        assert_int_equal(position_parse(places, PLACES_MAX, table[i]), -EINVAL);
    }
}

static void test_bound(void **state)
{
    (void)state;
    struct position places[PLACES_MAX];
    assert_int_equal(position_parse(places, PLACES_MAX, SPAN("1.1~1.1~1.1")), 3);
    assert_int_equal(position_parse(places, PLACES_MAX, SPAN("1.1~1.1~1.1~1.1")), -E2BIG);
    assert_int_equal(position_parse(places, 0, SPAN("1.1")), -E2BIG);
}

static void test_longest(void **state)
{
    (void)state;
    struct position places[2] = {{UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}};
    char buf[POSITION_TOKEN_MAX(2)];
    assert_int_equal(position_size(places, 1), POSITION_SIZE_MAX);
    assert_true(position_write(buf, places, 2) <= sizeof buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
