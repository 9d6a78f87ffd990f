#include "feed.h"
#include "wire/ws.h"
#include "wire_test.h"

static void test_heads_round_trip(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
    } table[] = {
        {0, 2},     {1, 2},      {125, 2},      {126, 4},        {127, 4},
        {65535, 4}, {65536, 10}, {1 << 20, 10}, {INT64_MAX, 10},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        for (int masked = 0; masked < 2; masked++) {
            struct ws_frame_head head = {.length = table[i].length,
                                         .key = {1, 2, 3, 4},
                                         .opcode = WS_BINARY,
                                         .fin = i % 2,
                                         .masked = masked};
            struct ws_frame_head parsed;
            char buf[WS_FRAME_HEAD_MAX];
            size_t size = ws_frame_head_write(buf, &head);
            assert_int_equal(size, table[i].size + (masked ? 4 : 0));
            assert_int_equal(ws_frame_head_size(table[i].length), table[i].size);
            enum ws_role role = masked ? WS_SERVER : WS_CLIENT;
            assert_int_equal(ws_frame_head_parse(&parsed, buf, size, role, false), size);
            assert_int_equal(parsed.length, head.length);
            assert_int_equal(parsed.opcode, head.opcode);
            assert_int_equal(parsed.fin, head.fin);
            assert_int_equal(parsed.masked, head.masked);
            if (masked)
                assert_memory_equal(parsed.key, head.key, 4);
            for (size_t len = 0; len < size; len++)
                assert_int_equal(ws_frame_head_parse(&parsed, buf, len, role, false), 0);
            enum ws_role other = masked ? WS_CLIENT : WS_SERVER;
            assert_int_equal(ws_frame_head_parse(&parsed, buf, size, other, false), WS_ERROR_MASK);
        }
    }
}

/* All 256 first bytes: which pass is exactly what the RFC lists. */
static void test_every_first_byte(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 512; i++) {
        struct ws_frame_head head;
        unsigned byte = i & 255, opcode = byte & 15;
        bool deflate = i >= 256;
        bool may = deflate && (opcode == 1 || opcode == 2); /* RSV1, RFC 7692 section 6 */
        char buf[2] = {(char)byte, 0};
        bool control = opcode >= 8;
        int expected = 2;
        if (byte & (may ? 0x30 : 0x70))
            expected = WS_ERROR_RESERVED_BITS;
        else if ((opcode > 2 && opcode < 8) || opcode > 10)
            expected = WS_ERROR_OPCODE;
        else if (control && !(byte & 0x80))
            expected = WS_ERROR_CONTROL_FRAGMENT;
        assert_int_equal(ws_frame_head_parse(&head, buf, 2, WS_CLIENT, deflate), expected);
        if (expected > 0)
            assert_int_equal(head.deflated, (byte & 0x40) != 0);
        /* One byte is enough to refuse. */
        assert_int_equal(ws_frame_head_parse(&head, buf, 1, WS_CLIENT, deflate),
                         expected < 0 ? expected : 0);
    }
}

static void test_lengths_refused(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        int result;
    } table[] = {
        {SPAN_INIT("\x82\x7e\x00\x7e"), 4},
        {SPAN_INIT("\x82\x7e\x00\x7d"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x82\x7e\x00\x00"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"), 10},
        {SPAN_INIT("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), 10},
        {SPAN_INIT("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), WS_ERROR_LENGTH},
        {SPAN_INIT("\x89\x7d"), 2},
        {SPAN_INIT("\x89\x7e"), WS_ERROR_CONTROL_LONG},
        {SPAN_INIT("\x89\x7f"), WS_ERROR_CONTROL_LONG},
        {SPAN_INIT("\x88\x7e"), WS_ERROR_CONTROL_LONG},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct ws_frame_head head;
        struct span bytes = table[i].bytes;
        assert_int_equal(ws_frame_head_parse(&head, bytes.ptr, bytes.len, WS_CLIENT, false),
                         table[i].result);
    }
}

static void test_close_codes(void **state)
{
    (void)state;
    static const struct {
        unsigned first, last;
        bool valid;
    } ranges[] = {
        {0, 999, false},     {1000, 1003, true}, {1004, 1006, false},  {1007, 1014, true},
        {1015, 2999, false}, {3000, 4999, true}, {5000, 65535, false},
    };
    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        for (unsigned code = ranges[i].first; code <= ranges[i].last; code++)
            assert_int_equal(ws_close_code_valid(code), ranges[i].valid);
}

/* RFC 6455 section 5.7. */
static void test_control_frames(void **state)
{
    (void)state;
    char buf[WS_CONTROL_FRAME_MAX], payload[WS_CONTROL_MAX] = {0};
    const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t size = ws_control_write(buf, WS_PING, SPAN("Hello"), NULL);
    assert_span(span_of(buf, size), SPAN("\x89\x05Hello"));
    size = ws_control_write(buf, WS_PONG, SPAN("Hello"), key);
    assert_span(span_of(buf, size), SPAN("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    size = ws_control_write(buf, WS_PING, span_of(payload, sizeof payload), key);
    assert_int_equal(size, sizeof buf);
    size = ws_close_write(buf, WS_CLOSE_GOING_AWAY, SPAN("bye"), NULL);
    assert_span(span_of(buf, size), SPAN("\x88\x05\x03\xe9"
                                         "bye"));
    size = ws_close_write(buf, WS_CLOSE_NORMAL, SPAN(""), NULL);
    assert_span(span_of(buf, size), SPAN("\x88\x02\x03\xe8"));
    size = ws_close_write(buf, WS_CLOSE_NO_STATUS, SPAN(""), NULL);
    assert_span(span_of(buf, size), SPAN("\x88\x00"));
    size = ws_close_write(buf, 4999, span_of(payload, WS_REASON_MAX), key);
    assert_int_equal(size, sizeof buf);
}

static void test_every_error_has_a_name_and_a_code(void **state)
{
    (void)state;
    for (int error = 1; error < WS_ERROR_COUNT; error++) {
        assert_non_null(ws_error_name((enum ws_error) - error));
        assert_true(ws_close_code_valid(ws_error_close_code((enum ws_error) - error)));
    }
    assert_int_equal(ws_error_close_code(WS_ERROR_UTF8), 1007);
    assert_int_equal(ws_error_close_code(WS_ERROR_CLOSE_REASON), 1007);
    assert_int_equal(ws_error_close_code(WS_ERROR_TOO_BIG), 1009);
    assert_int_equal(ws_error_close_code(WS_ERROR_MASK), 1002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_round_trip),
        cmocka_unit_test(test_every_first_byte),
        cmocka_unit_test(test_lengths_refused),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_control_frames),
        cmocka_unit_test(test_every_error_has_a_name_and_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
