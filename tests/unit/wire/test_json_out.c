#include "wire/json_out.h"
#include "wire_test.h"

static void expect(struct span text, const char *expected)
{
    char buf[256];
    assert_int_equal(json_string_size(text), strlen(expected));
    assert_int_equal(json_string_write(buf, text), strlen(expected));
    assert_span(span_of(buf, strlen(expected)), span_from(expected));
}

static void test_strings(void **state)
{
    (void)state;
    expect(SPAN(""), "\"\"");
    expect(SPAN("plain text / no escapes"), "\"plain text / no escapes\"");
    expect(SPAN("\""), "\"\\\"\"");
    expect(SPAN("\\"), "\"\\\\\"");
    expect(SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"");
    expect(SPAN("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    expect(SPAN("\0\x01\x0b\x1f"), "\"\\u0000\\u0001\\u000b\\u001f\"");
    expect(SPAN("\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
           "\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    expect(SPAN("\n\n"), "\"\\n\\n\"");
    expect(SPAN("x\ny"), "\"x\\ny\"");
}

static void test_every_byte_has_its_size(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte, buf[2 + JSON_ESCAPE_MAX];
        size_t size = json_string_size(span_of(&c, 1));
        assert_int_equal(json_string_write(buf, span_of(&c, 1)), size);
        assert_true(size <= sizeof buf);
        assert_int_equal(buf[0], '"');
        assert_int_equal(buf[size - 1], '"');
        assert_int_equal(size > 3, byte < 0x20 || byte == '"' || byte == '\\');
    }
}

/* In pieces of any size the escapes are whole, and together they are the string. */
static void test_pieces(void **state)
{
    struct span text = SPAN("plain \x01\x02\n\"and\\ more of it\x1f\xe2\x82\xac");
    char whole[128], piece[128];
    size_t size = json_string_write(whole, text);
    (void)state;
    for (size_t room = JSON_ESCAPE_MAX; room < sizeof piece; room++) {
        struct span left = text;
        size_t len = 1;
        while (left.len > 0) {
            size_t got = json_escape(piece, room, &left);
            assert_true(got > 0 && got <= room && len + got < size);
            assert_memory_equal(piece, whole + len, got);
            len += got;
        }
        assert_int_equal(len + 1, size);
    }
    struct span none = SPAN("\x01");
    assert_int_equal(json_escape(piece, JSON_ESCAPE_MAX - 1, &none), 0);
    assert_int_equal(none.len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_every_byte_has_its_size),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
