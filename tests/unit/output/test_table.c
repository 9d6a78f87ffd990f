#include "output/table.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct table table;

static int fresh(void **state)
{
    (void)state;
    memset(&table, 0, sizeof table);
    return 0;
}

static void check_printed(unsigned heads, const char *wanted)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    table_print(&table, file, heads);
    fclose(file);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_columns_are_aligned(void **state)
{
    (void)state;
    table_heads(&table, "", "rate", "x bare");
    table_row(&table);
    table_cell(&table, "%s", "websocket");
    table_cell(&table, "%d", 12345);
    table_cell(&table, "%.2f", 0.875);
    table_row(&table);
    table_cell(&table, "sse");
    table_cell(&table, "9");
    check_printed(1, "              rate  x bare\n"
                     "  ------------------------\n"
                     "  websocket  12345    0.88\n"
                     "  sse            9        \n");
}

static void test_two_rows_of_heads_and_none(void **state)
{
    (void)state;
    table_heads(&table, "a", "b");
    table_heads(&table, "", "cc");
    check_printed(2, "  a   b\n"
                     "     cc\n"
                     "  -----\n");
    check_printed(0, "  a   b\n"
                     "     cc\n");
}

/* A character of UTF-8 takes one column. */
static void test_characters_are_counted(void **state)
{
    (void)state;
    table_row(&table);
    table_cell(&table, "\xe2\x89\xa5");
    table_cell(&table, "1");
    table_row(&table);
    table_cell(&table, "ab");
    table_cell(&table, "\xc2\xb5s");
    check_printed(0, "  \xe2\x89\xa5    1\n"
                     "  ab  \xc2\xb5s\n");
}

static void test_a_long_cell_is_cut(void **state)
{
    (void)state;
    table_row(&table);
    table_cell(&table, "%s", "lost, doubled, swapped, corrupt and more");
    check_printed(0, "  lost, doubled, swapped, corrupt\n");
}

static void test_a_ratio_or_nothing(void **state)
{
    (void)state;
    table_row(&table);
    table_ratio(&table, (struct spread){.median = 1.005, .n = 3});
    table_ratio(&table, (struct spread){.median = 7, .n = 0});
    assert_true(strcmp(table.cells[0][0], "1.00") == 0 || strcmp(table.cells[0][0], "1.01") == 0);
    assert_string_equal(table.cells[0][1], "");
    assert_int_equal(table.columns, 2);
}

/* ---- numbers ---- */

typedef const char *(*writer)(char *text, double value);

static void check(writer write, double value, const char *wanted)
{
    char text[TABLE_NUMBER_MAX];
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
    char text[TABLE_NUMBER_MAX];
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
        cmocka_unit_test_setup(test_columns_are_aligned, fresh),
        cmocka_unit_test_setup(test_two_rows_of_heads_and_none, fresh),
        cmocka_unit_test_setup(test_characters_are_counted, fresh),
        cmocka_unit_test_setup(test_a_long_cell_is_cut, fresh),
        cmocka_unit_test_setup(test_a_ratio_or_nothing, fresh),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
