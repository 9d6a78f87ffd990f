#include "wire/etag.h"
#include "wire_test.h"

static struct etags read(const char *value)
{
    struct etags etags = {0};
    etags_add(&etags, span_from(value));
    return etags;
}

static void expect(const char *value, unsigned count)
{
    struct etags etags = read(value);
    if (etags.count != count || etags.any)
        print_error("%s\n", value);
    assert_int_equal(etags.count, count);
    assert_false(etags.any);
    if (count > 0)
        assert_true(etags_have(&etags, 0x0123456789abcdef));
    assert_false(etags_have(&etags, 0x0123456789abcdee));
}

static void test_written(void **state)
{
    (void)state;
    char buf[ETAG_SIZE];
    etag_write(buf, 0x0123456789abcdef);
    assert_span(span_of(buf, sizeof buf), SPAN("W/\"0123456789abcdef\""));
    etag_write(buf, UINT64_MAX);
    assert_span(span_of(buf, sizeof buf), SPAN("W/\"ffffffffffffffff\""));
}

static void test_lists(void **state)
{
    (void)state;
    expect("W/\"0123456789abcdef\"", 1);
    expect("\"0123456789abcdef\"", 1);
    expect(" , \"\",\t\"x\" , W/\"0123456789abcdef\",", 1);
    expect("\"a, b\", \"0123456789abcdef\"", 1);
    expect("\"0123456789abcdef\", \"0123456789abcdef\"", 2);
    expect("", 0);
    expect("\"0123456789ABCDEF\"", 0);
    expect("\"0123456789abcde\"", 0);
    expect("\"0123456789abcdef0\"", 0);
    expect("0123456789abcdef", 0);
    expect("w/\"0123456789abcdef\"", 0);
    expect("x, \"0123456789abcdef\"", 0);
    expect("\"0123456789abcdef", 0);
    expect("W/", 0);
    expect("*, \"x\"", 0);
}

static void test_any(void **state)
{
    (void)state;
    struct etags etags = read("*");
    assert_true(etags_have(&etags, 1));
    etags = (struct etags){0};
    assert_false(etags_have(&etags, 0));
}

static void test_more_than_are_remembered(void **state)
{
    (void)state;
    struct etags etags = {0};
    for (int i = 0; i < 9; i++)
        etags_add(&etags, SPAN("\"0000000000000001\""));
    assert_int_equal(etags.count, ETAGS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_any),
        cmocka_unit_test(test_more_than_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
