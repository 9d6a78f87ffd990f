#include "output/number.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

typedef const char *(*writer)(char *text, double value);

static void check(writer write, double value, const char *wanted)
{
    char text[NUMBER_TEXT_MAX];
    assert_string_equal(write(text, value), wanted);
}

static const char *grouped(char *text, double value)
{
    return number_grouped(text, (uint64_t)value);
}

static void test_short(void **state)
{
    (void)state;
    check(number_short, 0, "0.0");
    check(number_short, 99.94, "99.9");
    check(number_short, 950, "950");
    check(number_short, 9999, "9999");
    check(number_short, 10000, "10.0k");
    check(number_short, 104321, "104k");
    check(number_short, 1250000, "1.25M");
    check(number_short, 12345678, "12.3M");
    check(number_short, 2345678901, "2346M");
}

static void test_grouped(void **state)
{
    (void)state;
    check(grouped, 0, "0");
    check(grouped, 999, "999");
    check(grouped, 1000, "1,000");
    check(grouped, 1234567, "1,234,567");
    char text[NUMBER_TEXT_MAX];
    assert_string_equal(number_grouped(text, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void test_time(void **state)
{
    (void)state;
    check(number_time, 0, "0 ns");
    check(number_time, 850, "850 ns");
    check(number_time, 999.4, "999 ns");
    check(number_time, 1000, "1.00 us");
    check(number_time, 12340, "12.3 us");
    check(number_time, 4560000, "4.56 ms");
    check(number_time, 120e6, "120 ms");
    check(number_time, 1.2e9, "1.20 s");
    check(number_time, 4321e9, "4321 s");
}

static void test_bytes(void **state)
{
    (void)state;
    check(number_bytes, 95, "95 B");
    check(number_bytes, 10239, "10239 B");
    check(number_bytes, 10240, "10.0 KiB");
    check(number_bytes, 20.0 * (1 << 20), "20.0 MiB");
    check(number_bytes, 5.5 * (1 << 20), "5632 KiB");
    check(number_bytes, 23.125 * (1 << 30), "23.1 GiB");
    check(number_bytes, 1e17, "90949 TiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
