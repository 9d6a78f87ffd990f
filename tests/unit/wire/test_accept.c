#include "wire/accept.h"
#include "wire_test.h"

static void expect(const char *value, bool expected)
{
    struct http_fields fields = {.count = 1};
    fields.list[0] = (struct http_field){SPAN("Accept-Encoding"), span_from(value)};
    bool got = accept_coding(&fields, SPAN("gzip"));
    if (got != expected)
        print_error("%s\n", value);
    assert_int_equal(got, expected);
}

static void test_taken(void **state)
{
    (void)state;
    expect("gzip", true);
    expect("gzip, deflate, br, zstd", true);
    expect("br;q=1.0, GZIP;q=0.001 , *;q=0", true);
    expect("gzip ; q=1", true);
    expect("gzip;Q=1.000", true);
    expect("*", true);
    expect("br, *;q=0.5", true);
    expect("gzip;q=0, gzip", true);
}

static void test_not_taken(void **state)
{
    (void)state;
    expect("", false);
    expect("identity", false);
    expect("br, deflate", false);
    expect("gzip;q=0", false);
    expect("gzip;q=0.000, *", false);
    expect("*;q=0", false);
    expect("gzip;q=2", false);
    expect("gzip;q=", false);
    expect("gzip;q=x", false);
    expect("gzip;q=0.0001", false);
    expect("gzip;level=9", false);
    expect("gzip2, xgzip, g zip", false);
}

static void test_several_fields(void **state)
{
    (void)state;
    struct http_fields fields = {.count = 2};
    assert_false(accept_coding(&(struct http_fields){0}, SPAN("gzip")));
    fields.list[0] = (struct http_field){SPAN("accept-encoding"), SPAN("br")};
    fields.list[1] = (struct http_field){SPAN("ACCEPT-ENCODING"), SPAN("gzip")};
    assert_true(accept_coding(&fields, SPAN("gzip")));
    fields.list[1].name = SPAN("Accept");
    assert_false(accept_coding(&fields, SPAN("gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_several_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
