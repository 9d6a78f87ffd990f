#include "below.h"

#include "measure/fields.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_split(void **state)
{
    (void)state;
    char line[] = "  cpu0 12\t 0  99\n", none[] = " \n";
    char *fields[4];
    assert_int_equal(fields_split(line, fields, 4), 4);
    assert_string_equal(fields[0], "cpu0");
    assert_string_equal(fields[1], "12");
    assert_string_equal(fields[3], "99");
    assert_int_equal(fields_split(none, fields, 4), 0);
}

static void test_no_more_than_there_is_room_for(void **state)
{
    (void)state;
    char line[] = "1 2 3 4";
    char *fields[3] = {NULL, NULL, NULL};
    assert_int_equal(fields_split(line, fields, 2), 2);
    assert_string_equal(fields[1], "2");
    assert_null(fields[2]);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(field_number("18446744073709551615", 10, &value));
    assert_true(value == UINT64_MAX);
    assert_true(field_number("1F90", 16, &value));
    assert_int_equal(value, 8080);
    static const char *const wrong[] = {"", "x", "12x", "18446744073709551616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        value = 7;
        assert_false(field_number(wrong[i], 10, &value));
        assert_int_equal(value, 7);
    }
}

static void test_the_nth_of_a_file(void **state)
{
    (void)state;
    below_put("/proc/7/schedstat", "100 200 3\nnext 9\n");
    assert_int_equal(fields_read_number("/proc/7/schedstat", 0, 5), 100);
    assert_int_equal(fields_read_number("/proc/7/schedstat", 2, 5), 3);
    assert_int_equal(fields_read_number("/proc/7/schedstat", 3, 5), 5);
    assert_int_equal(fields_read_number("/proc/8/schedstat", 0, 5), 5);
    below_put("/proc/9", "");
    assert_int_equal(fields_read_number("/proc/9", 0, 5), 5);
    below_put("/proc/9", "max 1\n");
    assert_int_equal(fields_read_number("/proc/9", 0, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        below_test(test_split),
        below_test(test_no_more_than_there_is_room_for),
        below_test(test_numbers),
        below_test(test_the_nth_of_a_file),
    };
    return cmocka_run_group_tests(tests, below_make, below_remove);
}
