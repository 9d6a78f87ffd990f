#include <inttypes.h>
#include <stdio.h>

#include "wire/digits.h"
#include "wire_test.h"

static void expect_as_printf(uint64_t value)
{
    char expected[24], buf[DIGITS_DECIMAL_MAX];
    int len = snprintf(expected, sizeof expected, "%" PRIu64, value);
    assert_int_equal(digits_decimal_size(value), len);
    assert_span(span_of(buf, digits_decimal_write(buf, value)), span_from(expected));
    len = snprintf(expected, sizeof expected, "%" PRIx64, value);
    assert_int_equal(digits_hex_size(value), len);
    assert_span(span_of(buf, digits_hex_write(buf, value)), span_from(expected));
}

/* Where the number of digits changes, in either base. */
static void test_edges(void **state)
{
    (void)state;
    uint64_t power = 1;
    for (int i = 0; i < DIGITS_DECIMAL_MAX; i++, power *= 10) {
        expect_as_printf(power - 1);
        expect_as_printf(power);
    }
    for (int i = 0; i < 64; i++) {
        expect_as_printf((UINT64_C(1) << i) - 1);
        expect_as_printf(UINT64_C(1) << i);
    }
    expect_as_printf(UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
