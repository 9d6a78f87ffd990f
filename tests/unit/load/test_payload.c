#include "load/payload.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void check(uint64_t number, uint64_t intended_ns, size_t size)
{
    char buf[512];
    uint64_t got_number = 0, got_ns = 0;
    memset(buf, '!', sizeof buf);
    payload_write(buf, size, number, intended_ns);
    assert_int_equal(buf[size], '!');
    assert_true(payload_read(span_of(buf, size), &got_number, &got_ns));
    assert_true(got_number == number && got_ns == intended_ns);
    /* The head alone says as much. */
    assert_true(payload_read(span_of(buf, PAYLOAD_HEAD_SIZE), &got_number, &got_ns));
}

static void test_round_trip(void **state)
{
    (void)state;
    check(1, 0, PAYLOAD_HEAD_SIZE);
    check(0x0123456789abcdef, 0xfedcba9876543210, 35);
    check(UINT64_MAX, UINT64_MAX, 128);
    check(0, 1, 300);
}

static void test_as_documented(void **state)
{
    (void)state;
    char buf[41];
    payload_write(buf, 40, 1234, 0x18bcfe56800);
    buf[40] = '\0';
    assert_string_equal(buf, "00000000000004d2 0000018bcfe56800 cdefgh");
}

/* Any byte of the head that is not what a head has there makes it foreign. */
static void test_refused(void **state)
{
    (void)state;
    char buf[PAYLOAD_HEAD_SIZE];
    uint64_t number = 7, intended_ns = 8;
    for (size_t at = 0; at < sizeof buf; at++)
        for (int c = 0; c < 256; c++) {
            bool separator = at == 16 || at == 33;
            bool right = separator ? c == ' ' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            payload_write(buf, sizeof buf, 1, 1);
            buf[at] = (char)c;
            assert_int_equal(payload_read(span_of(buf, sizeof buf), &number, &intended_ns), right);
        }
    assert_false(payload_read(span_of(buf, sizeof buf - 1), &number, &intended_ns));
}

static void test_no_escapes(void **state)
{
    (void)state;
    char buf[256];
    payload_write(buf, sizeof buf, UINT64_MAX / 3, UINT64_MAX / 7);
    for (size_t i = 0; i < sizeof buf; i++)
        assert_true(buf[i] == ' ' || (buf[i] >= '0' && buf[i] <= '9') ||
                    (buf[i] >= 'a' && buf[i] <= 'p'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_as_documented),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
