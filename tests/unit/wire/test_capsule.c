#include "wire/capsule.h"
#include "wire_test.h"

#define CLOSE "\x68\x43"

static enum capsule_found feed(struct capsules *capsules, struct span bytes, size_t step)
{
    *capsules = (struct capsules){0};
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t len = step < bytes.len - at ? step : bytes.len - at;
        enum capsule_found found = capsules_input(capsules, span_of(bytes.ptr + at, len));
        if (found != CAPSULE_NONE)
            return found;
    }
    return CAPSULE_NONE;
}

static void a_close_has_a_code_and_a_reason(void **state)
{
    (void)state;
    struct capsules capsules;
    /* A grease, as Chromium sends it, an empty one of no kind, and the close. */
    struct span bytes = SPAN("\x40\x40\x03xyz\x17\x00" CLOSE "\x0e\x00\x00\x03\x09"
                             "client bye");
    for (size_t step = 1; step <= bytes.len; step++) {
        assert_int_equal(feed(&capsules, bytes, step), CAPSULE_CLOSED);
        assert_int_equal(capsules.code, 777);
    }
}

static void a_close_of_a_wrong_length_is_none(void **state)
{
    (void)state;
    struct capsules capsules;
    assert_int_equal(feed(&capsules, SPAN(CLOSE "\x03\x00\x00\x00"), 1), CAPSULE_BAD);
    assert_int_equal(feed(&capsules, SPAN(CLOSE "\x44\x05\x00\x00"), 1), CAPSULE_BAD);
    assert_int_equal(feed(&capsules, SPAN(CLOSE "\x44\x04\x00\x00"), 1), CAPSULE_NONE);
    assert_int_equal(feed(&capsules, SPAN(CLOSE "\x04\x00\x00\x00\x05"), 1), CAPSULE_CLOSED);
    assert_int_equal(capsules.code, 5);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    uint8_t made[CAPSULE_MAX];
    static const char reason[CAPSULE_REASON_MAX] = {[0 ... CAPSULE_REASON_MAX - 1] = 'x'};
    struct capsules capsules;
    size_t len = capsule_close_write(made, UINT32_MAX, span_of(reason, sizeof reason));
    assert_true(len <= CAPSULE_MAX);
    assert_int_equal(feed(&capsules, span_of((const char *)made, len), 7), CAPSULE_CLOSED);
    assert_int_equal(capsules.code, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_has_a_code_and_a_reason),
        cmocka_unit_test(a_close_of_a_wrong_length_is_none),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
