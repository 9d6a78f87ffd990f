#include "wire/webtransport.h"
#include "wire_test.h"

static void codes_leave_out_what_is_reserved(void **state)
{
    (void)state;
    uint32_t code;
    assert_int_equal(webtransport_error(0), UINT64_C(0x52e4a40fa8db));
    assert_int_equal(webtransport_error(33), UINT64_C(0x52e4a40fa8fd)); /* as Chromium has it */
    assert_int_equal(webtransport_error(UINT32_MAX), UINT64_C(0x52e5ac983162));
    for (uint32_t each = 0; each < 5000; each++) {
        uint64_t error = webtransport_error(each);
        assert_true((error - 0x21) % 0x1f != 0);
        assert_true(webtransport_code(error, &code) && code == each);
    }
    assert_true(webtransport_code(webtransport_error(UINT32_MAX), &code) && code == UINT32_MAX);
    assert_false(webtransport_code(UINT64_C(0x52e4a40fa8da), &code));
    assert_false(webtransport_code(UINT64_C(0x52e5ac983163), &code));
    assert_false(webtransport_code(webtransport_error(0x1e) - 1, &code));
}

static void names_are_strings_of_a_list(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool has;
    } cases[] = {
        {"\"ringside\"", true},
        {"\"a\", \"ringside\"", true},
        {"\"a\";q=\"ringside\",\t\"ringside\";q=1", true},
        {"token, 17, (\"in\" \"a list\"), \"ringside\"", true},
        {"", false},
        {"ringside", false},
        {"\"ringside", false},
        {"\"ring\\side\"", false},
        {"\"ringside\\", false},
        {"\"ringsid\", \"ringside2\"", false},
        {"\"a\";b=\"x, \\\"ringside\\\"\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(webtransport_list_has(span_from(cases[i].list), SPAN("ringside")),
                         cases[i].has);
}

static void what_is_written_in_front_of_a_message_is_read_again(void **state)
{
    (void)state;
    uint8_t made[WEBTRANSPORT_HEAD_MAX + 1];
    struct webtransport_head head;
    size_t len = varint_write(made, 1);
    len += webtransport_number_write(made + len, WEBTRANSPORT_NUMBER_MAX, VARINT_MAX);
    made[len++] = 'x';
    struct span bytes = span_of((const char *)made, len);
    assert_int_equal(webtransport_head_take(&bytes, &head), WEBTRANSPORT_DATAGRAM);
    assert_int_equal(head.session, 4);
    assert_int_equal(head.number, WEBTRANSPORT_NUMBER_MAX);
    assert_int_equal(head.sequence, VARINT_MAX);
    assert_span(bytes, SPAN("x"));
}

static void what_is_of_another_form_is_told_from_what_no_session_can_have(void **state)
{
    (void)state;
    struct webtransport_head head;
    static const struct {
        struct span bytes;
        enum webtransport_datagram is;
    } cases[] = {
        {{"", 0}, WEBTRANSPORT_DATAGRAM_BAD},
        {{"\x40", 1}, WEBTRANSPORT_DATAGRAM_BAD},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00", 10}, WEBTRANSPORT_DATAGRAM_BAD},
        {{"\x01", 1}, WEBTRANSPORT_DATAGRAM_OTHER},
        {{"\x01\x40\x40\x00", 4}, WEBTRANSPORT_DATAGRAM_OTHER},
        {{"\x01\x05", 2}, WEBTRANSPORT_DATAGRAM_OTHER},
        {{"\x01\x05\x40", 3}, WEBTRANSPORT_DATAGRAM_OTHER},
        {{"\x01\x05\x00", 3}, WEBTRANSPORT_DATAGRAM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span bytes = cases[i].bytes;
        assert_int_equal(webtransport_head_take(&bytes, &head), cases[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_leave_out_what_is_reserved),
        cmocka_unit_test(names_are_strings_of_a_list),
        cmocka_unit_test(what_is_written_in_front_of_a_message_is_read_again),
        cmocka_unit_test(what_is_of_another_form_is_told_from_what_no_session_can_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
