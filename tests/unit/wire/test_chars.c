/* The table is held against the grammars, written out as the RFCs have them. */
#include "wire/chars.h"

#include "wire_test.h"

static bool one_of(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_alphanumeric(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool visible = c > 0x20 && c < 0x7F;
        bool tchar = is_alphanumeric(c) || one_of(c, "!#$%&'*+-.^_`|~");
        bool host = is_alphanumeric(c) || one_of(c, "-._~%!$&'()*+;=:[]");
        assert_int_equal(chars_is((char)c, CHAR_TOKEN), tchar);
        assert_int_equal(chars_is((char)c, CHAR_VALUE),
                         visible || c == ' ' || c == '\t' || c >= 0x80);
        assert_int_equal(chars_is((char)c, CHAR_TARGET), visible && !one_of(c, "\"#<>"));
        assert_int_equal(chars_is((char)c, CHAR_HOST), host);
        assert_int_equal(chars_is((char)c, CHAR_DIGIT), c >= '0' && c <= '9');
    }
}

static void test_hex_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdefABCDEF";
        const char *found = c ? strchr(digits, c) : NULL;
        int value = found ? (int)(found - digits) : -1;
        assert_int_equal(chars_hex((char)c), value > 15 ? value - 6 : value);
    }
}

static void test_all(void **state)
{
    (void)state;
    assert_true(chars_all(SPAN("token"), CHAR_TOKEN));
    assert_false(chars_all(SPAN("to ken"), CHAR_TOKEN));
    assert_false(chars_all(SPAN(""), CHAR_TOKEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_hex_digits),
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
